"""The desktop's session: owns the X server and keeps its programs running. `python3 -m guest_image.session`."""
