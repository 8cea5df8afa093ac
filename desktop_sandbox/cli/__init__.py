"""The desktop-sandbox command."""
