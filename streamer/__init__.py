"""The media process: frames → damage → encoder → WebRTC, WebSocket or file; viewers' input in. docs/streaming.md."""
