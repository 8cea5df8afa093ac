"""Where templates come from: found if one fits this host, else built (image first), one build of a name at a time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from desktop_sandbox.errors import (
    ConflictError,
    DesktopSandboxError,
    InvalidRequestError,
    MachineError,
    NotFoundError,
    SnapshotMismatchError,
)
from desktop_sandbox.microvm.channel_errors import first_leaf
from desktop_sandbox.microvm.host import check_unchanged
from desktop_sandbox.microvm.machine import Hypervisor
from desktop_sandbox.node.facts import TemplateInfo
from desktop_sandbox.snapshots.build import build_template
from desktop_sandbox.snapshots.progress import Report, Step, scaled
from desktop_sandbox.snapshots.snapshot import snapshots_by_template
from desktop_sandbox.snapshots.templates import (
    BUILDING,
    MANIFEST,
    Template,
    find_template,
    find_templates,
    image_of,
    promoted_templates,
    remove_leftovers,
    wanted_fit,
    why_unfit,
)
from guest_image.builder import BuildCancelledError, BuildError, Image, Progress, Store, build_image
from guest_image.recipe import Condition, Recipe, RecipeError, load_recipe, recipe_names

# seconds that an image takes against those its template takes, for one bar over both
_IMAGE_SHARE = 0.65
# an image younger than this may belong to a build that has not come to its template yet
_YOUNG_S = 3600.0


class TemplateShop:
    """The recipes and templates of one HOME."""

    def __init__(self, home: Path, hypervisor: Hypervisor, in_use: Callable[[], set[str]] = set) -> None:
        """`in_use`: folders of templates that machines stand on now."""
        self._in_use = in_use
        self._home = home
        self._hypervisor = hypervisor
        self._building: dict[str, asyncio.Lock] = {}
        self._found: dict[str, Template] = {}
        (home / "templates").mkdir(parents=True, exist_ok=True)
        remove_leftovers(home)

    def recipe(self, name: str) -> Recipe:
        """A recipe by name. Raises NotFoundError that lists those there are."""
        try:
            return load_recipe(name)
        except RecipeError as error:
            names = ", ".join([*recipe_names(), *promoted_templates(self._home)])
            raise NotFoundError(
                f"there is no usable template {name!r}: {error.message}", hint=f"there are: {names}"
            ) from error

    def screen(self, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """A template's own screen size, and its largest (pixels). Raises NotFoundError that lists those there are."""
        # one that was found is known without a look at the disk, which every create would have to wait for
        promoted = self._promoted(name)
        if promoted is not None and promoted.manifest.promoted is not None:
            return promoted.manifest.resolution, promoted.manifest.promoted.max_resolution
        recipe = self.recipe(name)
        return recipe.resolution, recipe.max_resolution

    def ready_conditions(self, recipe: str) -> Sequence[Condition]:
        """What its desktop is ready by; nothing where there is no such recipe any more."""
        try:
            return self.recipe(recipe).ready
        except NotFoundError:
            return ()

    def _promoted(self, name: str) -> Template | None:
        """The template of this name that was made of a snapshot, or None; a recipe's name is never one's."""
        found = self._found.get(name)
        if found is not None and (found.directory / MANIFEST).is_file():
            return found if found.devices_only else None
        return None if name in recipe_names() else promoted_templates(self._home).get(name)

    def check_free(self, name: str) -> None:
        """Raise ConflictError unless a template of this name can be made of a snapshot."""
        if name in recipe_names():
            raise ConflictError(f"{name} is the name of a recipe", hint="promote it under another name")
        if self._promoted(name) is not None:
            raise ConflictError(f"there is a template {name} already", hint="choose another name, or remove it first")

    def find(self, name: str) -> tuple[Template | None, str | None]:
        """The template that fits this host, or None and why the one there is does not (None: there is none)."""
        promoted = self._promoted(name)
        if promoted is not None:
            why = why_unfit(promoted, self._hypervisor)
            return (promoted, None) if why is None else (None, why)
        return find_template(self._home, self.recipe(name), self._hypervisor)

    def find_quickly(self, name: str) -> Template | None:
        """As `find`, without looking at every source file again: what fitted this server fits it still.

        Raises ConfigurationError if QEMU was replaced under the server's feet.
        """
        check_unchanged(self._hypervisor.qemu)
        found = self._found.get(name)
        if found is None or not (found.directory / MANIFEST).is_file():
            found, _ = self.find(name)
            self._found.pop(name, None)
            if found is not None:
                self._found[name] = found
        return found

    def list(self) -> list[TemplateInfo]:
        """All recipes with the state of their templates, then those that were made of snapshots."""
        recipes = recipe_names()
        return [self.info(name) for name in (*recipes, *sorted(set(promoted_templates(self._home)) - set(recipes)))]

    def info(self, name: str) -> TemplateInfo:
        """One of them. Raises NotFoundError."""
        promoted = self._promoted(name)
        if promoted is not None:
            return self._promoted_info(promoted)
        building = name in self._building and self._building[name].locked()
        recipe = self.recipe(name)
        template, why = self.find(name)
        if template is None:
            state = "building" if building else ("stale" if why else "missing")
            return TemplateInfo(name, state, why, resolution=recipe.resolution)
        return TemplateInfo(
            name,
            "building" if building else "ready",
            digest=template.manifest.ram.digest,
            created_at=template.manifest.created_at,
            size_bytes=template.size_bytes(),
            resolution=template.manifest.resolution,
        )

    def info_of(self, template: Template) -> TemplateInfo:
        """One template, be it the newest of its name or not; `stale` says why sandboxes are not made from it."""
        if template.manifest.promoted is not None:
            return self._promoted_info(template)
        manifest = template.manifest
        differences = manifest.fit.differences(wanted_fit(self.recipe(manifest.name), self._hypervisor))
        return TemplateInfo(
            manifest.name,
            "stale" if differences else "ready",
            "; ".join(differences) or None,
            digest=manifest.ram.digest,
            created_at=manifest.created_at,
            size_bytes=template.size_bytes(),
            resolution=manifest.resolution,
        )

    def named(self, name: str) -> tuple[Template, Image]:
        """A template and its image, by the template's name (the newest that fits this host) or by its folder's.

        Raises NotFoundError where it is not there.
        """
        all_ = list(find_templates(self._home))
        template = next((each for each in all_ if each.directory.name == name), None)
        if template is None:
            template, why = self.find(name)
            if template is None:
                others = ", ".join(each.directory.name for each in all_ if each.manifest.name == name)
                raise NotFoundError(
                    f"template {name} is not ready" + (f": {why}" if why else ""),
                    hint=f"desktop-sandbox template build {name}; folders of others of its name: {others or 'none'}",
                )
        image = image_of(self._home, template)
        if image is None:
            raise NotFoundError(f"the image of template {template.directory.name} is gone: {template.image.parent}")
        return template, image

    def is_building(self, recipe: str) -> bool:
        """Whether this server builds a recipe's template now."""
        return recipe in self._building and self._building[recipe].locked()

    @contextlib.asynccontextmanager
    async def adding(self, name: str, recipe: str) -> AsyncIterator[None]:
        """Nobody builds this recipe inside the block, nor removes images of it; afterwards `name` is looked up anew."""
        async with self._building.setdefault(recipe, asyncio.Lock()), self._file_lock(recipe):
            try:
                yield
            finally:
                self._found.pop(name, None)

    def _promoted_info(self, template: Template) -> TemplateInfo:
        manifest, why = template.manifest, why_unfit(template, self._hypervisor)
        assert manifest.promoted is not None
        return TemplateInfo(
            manifest.name,
            "ready" if why is None else "stale",
            why,
            digest=manifest.ram.digest,
            created_at=manifest.created_at,
            size_bytes=template.size_bytes(),
            resolution=manifest.resolution,
            promoted_from=manifest.promoted.snapshot,
        )

    async def get(self, name: str, report: Report, *, rebuild: bool = False) -> Template:
        """The template of a recipe, built if need be. A build that is under way is waited for."""
        promoted = self._promoted(name)
        if promoted is not None:
            return self._as_promoted(promoted, rebuild=rebuild)
        recipe = self.recipe(name)
        async with self._building.setdefault(name, asyncio.Lock()), self._file_lock(name):
            template, why = self.find(name)
            if template is not None and not rebuild:
                return template
            if why:
                report(Step("template", 0.0, f"rebuilding {name}: {why}"))
            image = await self._image(recipe, scaled(report, 0.0, _IMAGE_SHARE), force=False)
            self._found.pop(name, None)
            built = await build_template(self._home, recipe, image, self._hypervisor, scaled(report, _IMAGE_SHARE, 1.0))
            await asyncio.to_thread(self._remove_older, built)
            return built

    def _as_promoted(self, template: Template, *, rebuild: bool) -> Template:
        """One that was made of a snapshot, which nobody can build. Raises an error where that would be needed."""
        name, recipe = template.manifest.name, template.manifest.recipe
        why = why_unfit(template, self._hypervisor)
        if why is not None:
            raise SnapshotMismatchError(
                f"template {name} does not fit this host: {why}",
                hint=f"it was promoted from a snapshot, so it cannot be built anew: make it again from {recipe}",
            )
        if rebuild:
            raise InvalidRequestError(
                f"template {name} was promoted from a snapshot: there is nothing to build",
                hint="remove it, and promote another snapshot under its name",
            )
        return template

    def _remove_older(self, kept: Template) -> None:
        """Old templates go but for the last (another checkout may use it); running machines hold their files open."""
        built = [other for other in find_templates(self._home) if other.manifest.promoted is None]
        same = [other for other in built if other.manifest.name == kept.manifest.name]
        needed = set(snapshots_by_template(self._home)) | self._in_use()
        for other in sorted(same, key=lambda each: each.manifest.created_at)[:-2]:
            if other.directory.name not in needed:
                shutil.rmtree(other.directory, ignore_errors=True)
        used = {template.image.parent for template in find_templates(self._home)}
        store = Store(self._home)
        with store.locked(threading.Event()):
            for image in store.all():
                old = time.time() - image.created_at > _YOUNG_S
                if image.recipe == kept.manifest.name and image.directory not in used and old:
                    with contextlib.suppress(BuildError):
                        store.remove(image)

    async def remove(self, name: str) -> None:
        """Remove a template from the disk, with its image unless another one stands on that."""
        self.screen(name)
        if name in self._building and self._building[name].locked():
            raise ConflictError(f"template {name} is being built", hint="wait until it is done, or stop the build")
        resting = snapshots_by_template(self._home)
        running = self._in_use()
        for template in find_templates(self._home):
            if template.manifest.name == name and self.is_building(template.manifest.recipe):
                recipe = template.manifest.recipe
                raise ConflictError(
                    f"template {recipe}, whose image it has, is being built", hint="wait until it is done"
                )
            if template.manifest.name == name and template.directory.name in running:
                raise ConflictError(f"template {name} is in use by a running sandbox", hint="kill its sandboxes first")
            if template.manifest.name == name and template.directory.name in resting:
                some = resting[template.directory.name]
                raise ConflictError(
                    f"{len(some)} snapshots need template {name}: {', '.join(some[:3])}{' …' if some[3:] else ''}",
                    hint="delete these snapshots first",
                )
        for template in list(find_templates(self._home)):
            if template.manifest.name == name:
                async with self.adding(name, template.manifest.recipe):  # lest one is added over its image just now
                    await asyncio.to_thread(_remove_whole, template.directory)
                    if template.image.parent not in {other.image.parent for other in find_templates(self._home)}:
                        await asyncio.to_thread(shutil.rmtree, template.image.parent, True)

    async def build(self, name: str, *, rebuild: bool = False) -> AsyncIterator[dict[str, object]]:
        """Build as `get` does; yields {"step", "fraction", "message"} as it goes. Closing it stops the build.

        Raises what `get` raises.
        """
        steps: asyncio.Queue[Step | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def report(step: Step) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, step)

        async def work() -> None:
            try:
                await self.get(name, report, rebuild=rebuild)
            finally:
                loop.call_soon(steps.put_nowait, None)

        try:
            async with asyncio.TaskGroup() as tasks:
                working = tasks.create_task(work())
                try:
                    while (step := await steps.get()) is not None:
                        yield {"step": step.step, "fraction": round(step.fraction, 4), "message": step.message}
                except BaseException:
                    working.cancel()
                    raise
        except BaseExceptionGroup as group:
            raise first_leaf(group) from None

    async def _image(self, recipe: Recipe, report: Report, *, force: bool) -> Image:
        """Build the image in a thread that is told to stop if this task is cancelled."""
        stop = threading.Event()
        loop = asyncio.get_running_loop()

        def progress(news: Progress) -> None:
            loop.call_soon_threadsafe(report, Step(news.step, news.fraction, news.message))

        building = asyncio.ensure_future(
            asyncio.to_thread(build_image, recipe, self._home, progress, force=force, cancel=stop)
        )
        try:
            return await asyncio.shield(building)
        except asyncio.CancelledError:
            stop.set()
            with contextlib.suppress(BuildCancelledError, BuildError):
                await building
            raise
        except BuildError as error:
            raise MachineError(
                f"the image {recipe.name} was not built: {error.message}",
                hint="; ".join(
                    part for part in (error.hint, f"the whole log: {error.log}" if error.log else None) if part
                ),
                tail=error.tail,
            ) from error

    @contextlib.asynccontextmanager
    async def _file_lock(self, name: str) -> AsyncIterator[None]:
        """One build of a name at a time over all processes of this HOME (tests share templates with the server)."""
        with (self._home / "templates" / f".{name}.lock").open("w") as lock:
            await _locked(lambda: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB))
            yield


def _remove_whole(directory: Path) -> None:
    """First it is no template any more, then its files go; the next start removes what is left."""
    doomed = directory.with_name(f"{BUILDING}{directory.name}-gone-{os.getpid()}")
    with contextlib.suppress(OSError):
        directory.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


async def _locked(attempt: Callable[[], None], *, patience_s: float = 3600.0) -> None:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return attempt()
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DesktopSandboxError("another process has been building this template for an hour") from None
            await asyncio.sleep(0.2)
