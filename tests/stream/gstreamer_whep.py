"""A WHEP player made of GStreamer's own parts (webrtcbin), for the system's Python: neither aiortc nor a browser.

`/usr/bin/python3 gstreamer_whep.py WHEP_URL X Y`, with the token in WHEP_TOKEN. Each line of its output is one JSON
object: first `{"elements": true}`, then `{"answered": status}`, and for each decoded frame `{"frames", "width",
"height", "pixel": [red, green, blue]}` (of X, Y). It plays until its standard input ends, and leaves by DELETE. Exit
code 2: an element is missing; 1: it failed, and says why on stderr.
"""

import json
import os
import re
import sys
import threading
import urllib.request
from urllib.parse import urljoin

import gi

for module in ("Gst", "GstWebRTC", "GstSdp"):
    gi.require_version(module, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

ELEMENTS = ("webrtcbin", "nicesrc", "dtlssrtpdec", "srtpdec", "rtph264depay", "h264parse", "openh264dec", "appsink")
CAPS = (
    "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f"
)
DECODE = "rtph264depay ! h264parse ! openh264dec ! videoconvert ! video/x-raw,format=RGB ! appsink name=sink"


def say(**facts):
    print(json.dumps(facts), flush=True)


class Player:
    """One session, from the offer to the DELETE."""

    def __init__(self, url, x, y):
        self.url, self.x, self.y = url, x, y
        self.loop = GLib.MainLoop()
        self.session = self.failure = None
        self.frames = 0
        self.pipeline = Gst.Pipeline.new("whep")
        self.webrtc = Gst.ElementFactory.make("webrtcbin")
        self.webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.webrtc)
        direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        self.webrtc.emit("add-transceiver", direction, Gst.Caps.from_string(CAPS))
        self.webrtc.connect("on-negotiation-needed", self.negotiate)
        self.webrtc.connect("notify::ice-gathering-state", self.gathered)
        self.webrtc.connect("pad-added", self.decode)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _bus, message: self.fail(message.parse_error()))

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        threading.Thread(target=self.until_told, daemon=True).start()
        self.loop.run()
        if self.session:
            self.ask("DELETE", self.session)
        self.pipeline.set_state(Gst.State.NULL)

    def until_told(self):
        sys.stdin.read()
        GLib.idle_add(self.loop.quit)

    def fail(self, why):
        self.failure = why
        GLib.idle_add(self.loop.quit)

    def negotiate(self, webrtc):
        webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered))

    def offered(self, promise):
        reply = promise.get_reply()  # held: what is in it is not copied
        offer = reply.get_value("offer")
        self.webrtc.emit("set-local-description", offer, None)

    def gathered(self, webrtc, _state):
        if webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            threading.Thread(target=self.exchange, daemon=True).start()

    def exchange(self):
        try:
            offer = self.webrtc.get_property("local-description").sdp.as_text()
            answer = self.ask("POST", self.url, offer)
            self.session = urljoin(self.url, answer.headers["Location"])
            _, sdp = GstSdp.SDPMessage.new()
            GstSdp.sdp_message_parse_buffer(answer.read(), sdp)
        except Exception as error:
            return self.fail(error)
        described = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.webrtc.emit("set-remote-description", described, None)
        say(answered=answer.status)

    def ask(self, method, url, body=None):
        headers = {"Content-Type": "application/sdp", "Authorization": "Bearer " + os.environ["WHEP_TOKEN"]}
        request = urllib.request.Request(url, body and body.encode(), headers, method=method)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20)

    def decode(self, _webrtc, pad):
        parts = Gst.parse_bin_from_description(DECODE, True)
        sink = parts.get_by_name("sink")
        for name, value in (("emit-signals", True), ("sync", False)):
            sink.set_property(name, value)
        sink.connect("new-sample", self.shown)
        self.pipeline.add(parts)
        parts.sync_state_with_parent()
        pad.link(parts.get_static_pad("sink"))

    def shown(self, sink):
        sample = sink.emit("pull-sample")
        # in words: a structure's Python face differs between releases
        caps = sample.get_caps().to_string()
        width, height = (int(re.search(rf"\b{side}=\(int\)(\d+)", caps)[1]) for side in ("width", "height"))
        stride = -(-3 * width // 4) * 4
        pixel = sample.get_buffer().extract_dup(self.y * stride + 3 * self.x, 3)
        self.frames += 1
        say(frames=self.frames, width=width, height=height, pixel=list(pixel))
        return Gst.FlowReturn.OK


def main():
    Gst.init(None)
    missing = [name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]
    if missing:
        print("no such elements of GStreamer:", *missing, file=sys.stderr)
        return 2
    say(elements=True)
    player = Player(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    player.run()
    if player.failure is not None:
        print(player.failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
