// What a page shows, as the bench sees it: reads the numbered strip (marker.py) off the largest picture in the page at
// every animation frame, and notes when each number was first seen and when keys went down. `compare` has it also look for the
// first picture that is as sharp as a given one. Wall time in ms.
(() => {
  const { left, top, cell, numberBits, checkBits, width } = window.benchStrip;
  const cells = numberBits + checkBits;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [cells * 4, 4];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const bench = (window.bench = { seen: [], keys: [], frames: 0, source: '' });
  let last = -1;

  const checkOf = (number) => {
    let crc = 0x5a;
    for (const byte of [number >> 8, number & 0xff]) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x80 ? ((crc << 1) ^ 7) & 0xff : crc << 1;
    }
    return crc;
  };
  const sizeOf = (one) => (one instanceof HTMLVideoElement ? one.videoWidth * one.videoHeight : one.width * one.height);
  const source = () => {
    const shown = [...document.querySelectorAll('video, canvas')].filter((one) => sizeOf(one) > 0 && one.getClientRects().length > 0);
    return shown.sort((a, b) => sizeOf(b) - sizeOf(a))[0];
  };
  const read = (from) => {
    const real = from instanceof HTMLVideoElement ? from.videoWidth : from.width;
    const scale = real / width;
    context.drawImage(from, left * scale, top * scale, cells * cell * scale, cell * scale, 0, 0, cells * 4, 4);
    const data = context.getImageData(0, 0, cells * 4, 4).data;
    let word = 0;
    for (let place = 0; place < cells; place += 1) {
      const at = (2 * cells * 4 + place * 4 + 2) * 4;
      word = word * 2 + (data[at] + data[at + 1] + data[at + 2] > 384 ? 1 : 0);
    }
    const number = Math.floor(word / 2 ** checkBits);
    return checkOf(number) === word % 2 ** checkBits ? number : null;
  };
  let wanted = null;
  bench.compare = (data, area, size, dB) => {
    bench.crispAt = null;
    if (data === null) return void (wanted = null);
    const luma = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
    const part = new OffscreenCanvas(size[0], size[1]).getContext('2d', { willReadFrequently: true });
    wanted = { luma, area, size, part, error: (255 ** 2 / 10 ** (dB / 10)) * luma.length };
  };
  const isCrisp = (from) => {
    const { luma, area, size, part, error } = wanted;
    const scale = (from instanceof HTMLVideoElement ? from.videoWidth : from.width) / width;
    if (scale !== 1) return false;
    part.drawImage(from, area[0], area[1], size[0], size[1], 0, 0, size[0], size[1]);
    const { data } = part.getImageData(0, 0, size[0], size[1]);
    let sum = 0;
    for (let at = 0; at < luma.length && sum <= error; at += 1) {
      const y = Math.round(16 + (65.481 * data[4 * at] + 128.553 * data[4 * at + 1] + 24.966 * data[4 * at + 2]) / 255);
      sum += (y - luma[at]) ** 2;
    }
    return sum <= error;
  };
  const look = () => {
    const now = performance.timeOrigin + performance.now(); // before the reading, which takes some ms itself
    requestAnimationFrame(look);
    bench.frames += 1;
    const from = source();
    if (from === undefined) return;
    if (wanted !== null && bench.crispAt === null && isCrisp(from)) bench.crispAt = now;
    let number = null;
    try { number = read(from); } catch { return; }
    if (number === null || number === last) return;
    last = number;
    bench.source = from.tagName;
    bench.seen.push([number, now]);
  };
  requestAnimationFrame(look);
  addEventListener('keydown', (event) => bench.keys.push(performance.timeOrigin + event.timeStamp), { capture: true });
})();
