// The right side: one chat, as the simulated contact has it on its phone.
import { call, file } from "./api.js";
import { $, gathered, icon, make, on, toast } from "./dom.js";
import { clock, sayWhat } from "./panels.js";
import * as sounds from "./sounds.js";
import { at, chat, chatAt, chosen, instance, numberOf } from "./state.js";
import { words } from "./words.js";

const PAGE = 100;
const LARGEST = 64 * 1024 * 1024;
const MARKS = { PENDING: "◷", SERVER_ACK: "✓", DELIVERY_ACK: "✓✓", READ: "✓✓", PLAYED: "✓✓", ERROR: "!" };
const ORDER = ["ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED"];

const shown = new Map(); // a message's id: its element and what it shows
let addresses = []; // of files, to let go of
let stopRecording = null;

export function prepare(leave) {
  for (const [id, name] of [["send-picture", "picture"], ["record", "record"], ["send-sound", "sound"], ["send", "send"]]) $(id).append(icon(name));
  $("back").addEventListener("click", leave);
  on("read", "click", () => call("POST", chatAt("/read")));
  on("reach", "click", () => call("PUT", at(`/contacts/${encodeURIComponent(chosen.jid)}`), { online: !chat()?.online }));
  on("older", "click", older);
  wireComposer();
}

function wireComposer() {
  on("composer", "submit", async () => {
    const text = $("text").value.trim();
    if (!text) return;
    await write({ text });
    $("text").value = "";
  });
  $("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("composer").requestSubmit();
  });
  $("send-picture").addEventListener("click", () => $("picture").click());
  $("send-sound").addEventListener("click", () => $("sound").click());
  on("picture", "change", () => pick("picture", async (picked) => ({
    media: { base64: await sounds.inBase64(picked), mimetype: picked.type || "application/octet-stream", fileName: picked.name },
  })));
  on("sound", "change", () => pick("sound", async (picked) => ({ voice: { base64: await sounds.inBase64(picked) } })));
  on("record", "click", record);
}

async function pick(id, content) {
  const [picked] = $(id).files;
  if (!picked) return;
  if (picked.size > LARGEST) throw new Error(words.tooLarge);
  const said = await content(picked);
  $(id).value = "";
  await write(said);
}

async function record() {
  if (stopRecording) {
    const stop = stopRecording;
    stopRecording = null;
    $("toast").hidden = true;
    $("record").setAttribute("aria-pressed", "false");
    await write({ voice: { base64: await sounds.inBase64(await stop()) } });
    return;
  }
  try {
    stopRecording = await sounds.start();
    $("record").setAttribute("aria-pressed", "true");
    toast(words.recordingNow);
  } catch {
    await write({ voice: { base64: await sounds.inBase64(sounds.tone()) } });
    toast(words.noMicrophone);
  }
}

async function write(content) {
  const { jid } = chosen;
  const written = await call("POST", at("/messages"), { from: numberOf(jid), ...content });
  heard(jid, written);
}

export async function open() {
  shown.clear();
  for (const address of addresses) URL.revokeObjectURL(address);
  addresses = [];
  $("log").replaceChildren();
  $("chat").hidden = !chosen.jid;
  $("empty").hidden = Boolean(chosen.jid);
  if (!chosen.jid) return;
  header();
  const { jid } = chosen;
  const messages = await call("GET", chatAt(`/messages?limit=${PAGE}`));
  if (jid !== chosen.jid) return;
  $("older").hidden = messages.length < PAGE;
  for (const message of messages) show(message);
  toEnd();
}

async function older() {
  const [first] = shown.keys();
  const messages = await call("GET", chatAt(`/messages?limit=${PAGE}&before=${encodeURIComponent(first)}`));
  $("older").hidden = messages.length < PAGE;
  const later = [...shown.entries()];
  shown.clear();
  for (const message of messages) shown.set(message.id, { message, element: element(message) });
  $("log").prepend(...[...shown.values()].map((each) => each.element));
  for (const [id, each] of later) shown.set(id, each);
}

export function header() {
  const who = chat();
  if (!chosen.jid) return;
  $("chat-name").textContent = who?.pushName ?? numberOf(chosen.jid);
  $("chat-number").textContent = numberOf(chosen.jid);
  const online = who?.online ?? true;
  $("reach").textContent = online ? words.online : words.offline;
  $("reach").setAttribute("aria-checked", String(online));
  $("reach").title = online ? words.contactOnline : words.contactOffline;
  const away = instance() && instance().state !== "open";
  $("waiting").hidden = online && !away;
  $("waiting").textContent = online ? words.instanceAway : words.waiting;
}

// Somebody wrote, or a message is another one now.
export function heard(jid, message) {
  if (jid !== chosen.jid) return;
  const isAtEnd = $("messages").scrollHeight - $("messages").scrollTop - $("messages").clientHeight < 80;
  show(message);
  if (isAtEnd) toEnd();
}

export function marked(jid, id, status) {
  const found = jid === chosen.jid && shown.get(id);
  if (!found || ORDER.indexOf(status) <= ORDER.indexOf(found.message.status)) return;
  found.message.status = status;
  found.element.querySelector(".mark").replaceWith(mark(found.message));
  found.element.classList.toggle("undelivered", isUndelivered(found.message));
}

let quiet;

export function typing(jid, presence) {
  if (jid !== chosen.jid) return;
  const said = { composing: words.typing, recording: words.recording }[presence];
  $("chat-number").textContent = said ?? numberOf(jid);
  clearTimeout(quiet);
  if (said) quiet = setTimeout(header, 20_000);
}

function show(message) {
  const made = element(message);
  const old = shown.get(message.id);
  if (old) old.element.replaceWith(made);
  else $("log").append(made);
  shown.set(message.id, { message, element: made });
}

function element(message) {
  const made = make("li", { class: "message" });
  made.dataset.id = message.id;
  made.classList.toggle("own", !message.fromMe);
  made.classList.toggle("deleted", message.deleted);
  made.classList.toggle("undelivered", isUndelivered(message));
  if (message.deleted) made.append(make("p", { class: "words", text: words.deleted }));
  else {
    if (message.media) made.append(media(message));
    if (message.text || !message.media) made.append(make("p", { class: "words", text: message.text ?? sayWhat(message) }));
  }
  const changed = message.edited && make("span", { text: words.edited });
  made.append(make("p", { class: "meta" }, changed, make("time", { text: clock(message.timestamp) }), mark(message)));
  return made;
}

const isUndelivered = (message) => message.fromMe && ORDER.indexOf(message.status) < ORDER.indexOf("DELIVERY_ACK");

function mark(message) {
  const { sign, said, read } = message.fromMe
    ? { sign: MARKS[message.status], said: words[message.status], read: ORDER.indexOf(message.status) >= ORDER.indexOf("READ") }
    : { sign: message.held ? MARKS.PENDING : MARKS.READ, said: message.held ? words.held : message.seen ? words.seen : words.arrived, read: message.seen };
  return make("span", { class: read ? "mark read" : "mark", title: said, role: "img", "aria-label": said, text: sign });
}

function media(message) {
  const { kind, mimetype, fileName, voice } = message.media;
  const holder = make("div", { class: "media" });
  const type = /^(image|audio|video)\/[\w.+-]+/.test(mimetype ?? "") ? mimetype : "application/octet-stream";
  const name = voice ? words.voice : words[kind] ?? words.document;
  file(at(`/messages/${encodeURIComponent(message.id)}/media`), type)
    .then((address) => {
      addresses.push(address);
      holder.replaceChildren(player(kind, address, name, fileName, message));
      if (message === [...shown.values()].at(-1)?.message) toEnd();
    })
    .catch((error) => holder.replaceChildren(make("p", { class: "error", text: error.message })));
  return holder;
}

function player(kind, address, name, fileName, message) {
  if (kind === "image" || kind === "sticker") {
    const picture = make("img", { src: address, alt: message.text ?? name });
    picture.addEventListener("load", toEndSoon);
    return picture;
  }
  if (kind === "audio" || kind === "video") {
    const playing = make(kind, { src: address, controls: true, preload: "metadata", "aria-label": name });
    if (message.fromMe && message.media.voice) playing.addEventListener("play", () => played(message), { once: true });
    return playing;
  }
  return make("a", { href: address, download: fileName ?? message.id, text: `${words.download}: ${fileName ?? name}` });
}

function played(message) {
  call("POST", at(`/messages/${encodeURIComponent(message.id)}/status`), { status: "PLAYED" }).catch((error) => toast(error.message));
}

function toEnd() {
  $("messages").scrollTop = $("messages").scrollHeight;
}

const toEndSoon = gathered(async () => toEnd(), 30);
