// Voice notes: from the microphone where there is one, else a tone made here.
const TONE_S = 2;
const RATE = 16000;
const LONGEST_MS = 120_000;

export async function start() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const type = ["audio/ogg;codecs=opus", "audio/webm;codecs=opus", "audio/mp4"].find((each) => MediaRecorder.isTypeSupported(each));
  const recorder = new MediaRecorder(stream, type ? { mimeType: type } : undefined);
  const parts = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  const recorded = new Promise((done) => recorder.addEventListener("stop", () => done(new Blob(parts))));
  recorder.start();
  const limit = setTimeout(() => recorder.stop(), LONGEST_MS);
  return async () => {
    clearTimeout(limit);
    if (recorder.state !== "inactive") recorder.stop();
    const blob = await recorded;
    for (const track of stream.getTracks()) track.stop();
    return blob;
  };
}

export function tone() {
  const samples = TONE_S * RATE;
  const view = new DataView(new ArrayBuffer(44 + samples * 2));
  const text = (at, words) => [...words].forEach((each, index) => view.setUint8(at + index, each.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + samples * 2, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, samples * 2, true);
  for (let index = 0; index < samples; index += 1) {
    const swell = Math.min(1, index / 800, (samples - index) / 800);
    view.setInt16(44 + index * 2, 9000 * swell * Math.sin((2 * Math.PI * (index < samples / 2 ? 440 : 660) * index) / RATE), true);
  }
  return new Blob([view]);
}

export async function inBase64(blob) {
  const address = await new Promise((done, failed) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result));
    reader.addEventListener("error", () => failed(reader.error));
    reader.readAsDataURL(blob);
  });
  return address.slice(address.indexOf(",") + 1);
}
