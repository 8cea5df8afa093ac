"""The host's apt configuration, as people have it."""

from __future__ import annotations

from pathlib import Path

from guest_image.builder import mirrors

CONTAINER = """\
Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
"""
CLOUD = """\
Types: deb deb-src
URIs: mirror+file:///etc/apt/mirrors/debian.list
Suites: trixie trixie-updates trixie-backports
Components: main
"""
COMPANY = """\
# our own mirror
deb [arch=amd64 signed-by=/usr/share/keyrings/d.gpg] https://apt.corp.example:8443/debian/ bookworm main contrib
deb-src https://apt.corp.example:8443/debian bookworm main
deb https://apt.corp.example:8443/debian-security bookworm-security main # security
deb https://packages.cloud.example/apt cloud-sdk-bookworm main
deb https://download.docker.example/linux/debian bookworm stable
deb https://apt.llvm.example/bookworm/ bookworm main
"""
THIRD_PARTY = """\
Types: deb
URIs: https://deb.nodesource.example/node_20.x
Suites: nodistro
Components: main
"""
DISABLED = CONTAINER.replace("Types: deb\n#", "Enabled: no\nTypes: deb\n#").replace("deb.debian.org", "old.example")


def test_a_container_image() -> None:
    chosen = mirrors.choose_mirrors(mirrors.parse_deb822(CONTAINER + "\n" + THIRD_PARTY))
    assert chosen.main == ("http://deb.debian.org/debian",)
    assert chosen.security == ("http://deb.debian.org/debian-security",)
    assert chosen.lines("trixie") == [
        "deb http://deb.debian.org/debian trixie main",
        "deb http://deb.debian.org/debian trixie-updates main",
        "deb http://deb.debian.org/debian-security trixie-security main",
    ]


def test_a_cloud_image_with_a_mirror_list() -> None:
    chosen = mirrors.choose_mirrors(mirrors.parse_deb822(CLOUD))
    assert chosen.main[0] == "mirror+file:///etc/apt/mirrors/debian.list"
    assert chosen.security == (mirrors.PUBLIC_SECURITY,)


def test_a_company_mirror_and_other_vendors_in_one_line_style() -> None:
    chosen = mirrors.choose_mirrors(mirrors.parse_list(COMPANY))
    assert chosen.main == ("https://apt.corp.example:8443/debian", mirrors.PUBLIC_MAIN)
    assert chosen.security[0] == "https://apt.corp.example:8443/debian-security"


def test_disabled_stanzas_are_left_out() -> None:
    assert [source.uri for source in mirrors.parse_deb822(DISABLED)] == ["http://old.example/debian-security"]


def test_a_host_without_debian_sources_gets_the_public_ones(tmp_path: Path) -> None:
    assert mirrors.host_mirrors(tmp_path).main == (mirrors.PUBLIC_MAIN,)


def test_both_kinds_of_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(CONTAINER)
    (tmp_path / "sources.list").write_text(COMPANY)
    assert mirrors.host_mirrors(tmp_path).main == (
        "http://deb.debian.org/debian",
        "https://apt.corp.example:8443/debian",
    )


def test_options_that_decide_how_mirrors_are_reached() -> None:
    dump = """\
Acquire "";
Acquire::Languages "none";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CAInfo "/etc/ssl/company.pem";
Acquire::https::Proxy "";
Acquire::Retries "3";
DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb || true";
"""
    assert mirrors.parse_apt_options(dump) == {
        "Acquire::http::Proxy": "http://proxy.example:3128",
        "Acquire::https::CAInfo": "/etc/ssl/company.pem",
        "Acquire::Retries": "3",
    }
