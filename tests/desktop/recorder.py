"""Runs inside the desktop: serves a page that tells what happens to it, and keeps the last it told. Stdlib only."""

import http.server
import os
import sys

PAGE = """<!doctype html><meta charset=utf-8><title>recorder</title>
<style>
body { margin: 0; width: 5000px; height: 5000px; font: 20px sans-serif }
textarea { position: absolute; left: 20px; top: 20px; width: 600px; height: 260px; font: 15px sans-serif }
p { position: absolute; left: 20px; top: 300px; margin: 0; white-space: pre }
</style>
<textarea id=field autocomplete=off spellcheck=false></textarea><p id=words>alpha beta gamma delta epsilon</p>
<script>
const state = { value: '', selected: '', x: 0, y: 0, origin: null, events: [], drawn: 0 }
state.number = performance.timeOrigin  // another at each load
let asleep = true
const tell = () => {
  state.value = field.value; state.selected = String(getSelection()); state.x = scrollX; state.y = scrollY
  if (asleep) { asleep = false; setTimeout(() => { asleep = true; post() }, 100) }
}
let last = Promise.resolve()  // one after the other, or an old state could arrive after a new one
const post = () => { last = last.then(() => fetch('/state', { method: 'POST', body: JSON.stringify(state) })) }
history.scrollRestoration = 'manual'
for (const kind of ['mousedown', 'mouseup', 'click', 'dblclick', 'contextmenu', 'auxclick'])
  addEventListener(kind, e => {
    state.origin = [e.screenX - e.clientX, e.screenY - e.clientY]
    const held = ['ctrl', 'shift', 'alt'].filter(name => e[name + 'Key'])
    state.events.push({ kind, button: e.button, count: e.detail, x: e.screenX, y: e.screenY, held }); tell()
  })
for (const kind of ['keydown', 'keyup'])
  addEventListener(kind, e => { state.events.push({ kind, key: e.key, repeat: e.repeat }); tell() })
addEventListener('scroll', tell)
addEventListener('input', tell)
document.addEventListener('selectionchange', tell)
// Chromium throws input away until a page has painted, and a moment longer
requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => { state.drawn = 1; tell() }, 800)))
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """GET: the page. POST: what it tells, into the file of the command line (whole, or not at all)."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def do_POST(self):
        path = sys.argv[1]
        with open(path + ".new", "wb") as file:
            file.write(self.rfile.read(int(self.headers["Content-Length"])))
        os.replace(path + ".new", path)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    # a thread for each connection: the browser opens one in advance, and nobody else would be served until it is used
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
