"""Entry point of desktop-session.service."""

from guest_image.session.run import main

if __name__ == "__main__":
    raise SystemExit(main())
