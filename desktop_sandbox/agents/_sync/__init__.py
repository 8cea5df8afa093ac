# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""The synchronous classes, generated."""
