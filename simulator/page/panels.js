// The left side: instances, chats, how phones behave, faults.
import { call, Gone } from "./api.js";
import { $, gathered, make, on, toast } from "./dom.js";
import { at, chosen, instance, known, numberOf } from "./state.js";
import { locale, words } from "./words.js";

const OFF = { latencyMs: 0, errorRate: 0, dropAnswers: 0, duplicateEvents: 0, reorderEvents: 0, converter: null, loseBroker: false };
const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });

let turn = 0; // of asking for instances: an answer that came late must not undo a newer one

export const clock = (seconds) => time.format(new Date(seconds * 1000));
export const sayWhat = (message) => message.text || (message.voice ? words.voice : words[message.type.replace(/Message.*$/, "")]) || words.other;

// `choose(jid)` opens a chat, `changed()` shows it again.
export function prepare(choose, changed) {
  wireInstances(choose, changed);
  wireBehaviour();
  wireFaults();
  return { showInstances: gathered(() => loadInstances(choose, changed), 80), showChats: gathered(() => loadChats(choose, changed), 150) };
}

export async function loadInstances(choose, changed) {
  const mine = ++turn;
  const listed = await call("GET", "/simulator/instances");
  if (mine !== turn) return;
  known.instances = listed;
  if (!instance()) {
    chosen.instance = known.instances[0]?.name ?? null;
    if (chosen.jid) choose(null);
  }
  $("instances").replaceChildren(
    ...known.instances.map((each) => {
      const button = make("button", { type: "button", text: each.name, "aria-pressed": String(each.name === chosen.instance) });
      button.addEventListener("click", () => {
        chosen.instance = each.name;
        choose(null);
        loadInstances(choose, changed).catch((error) => toast(error.message));
      });
      return button;
    }),
  );
  $("create").hidden = false;
  showInstance();
  await loadChats(choose, changed);
}

function showInstance() {
  const shown = instance();
  $("instance").hidden = !shown;
  if (!shown) return;
  const state = shown.state === "open" ? words.open_state : words[shown.state];
  const who = shown.paired ? `${shown.profileName ?? ""} ${shown.number ?? ""}`.trim() : words.notPaired;
  $("instance-state").textContent = `${shown.name}: ${state} (${who})`;
  $("pair").hidden = shown.paired;
  $("paired").hidden = !shown.paired;
  $("line").textContent = shown.offline ? words.goOnline : words.goOffline;
}

export async function loadChats(choose, changed) {
  const { instance: asked } = chosen;
  const listed = asked ? await call("GET", at("/chats")).catch(unlessGone) : [];
  if (asked !== chosen.instance) return;
  known.chats = listed;
  $("no-chats").hidden = known.chats.length > 0;
  const focused = document.activeElement?.dataset?.jid;
  $("chats").replaceChildren(...known.chats.map((each) => make("li", {}, chatButton(each, choose))));
  if (focused) document.querySelector(`[data-jid="${CSS.escape(focused)}"]`)?.focus();
  changed();
}

// An instance that was just deleted has no chats; the news of its end is under way.
function unlessGone(error) {
  if (error instanceof Gone) return [];
  throw error;
}

function chatButton(shown, choose) {
  const last = shown.lastMessage;
  const button = make(
    "button",
    { type: "button", class: shown.online ? "" : "off", "aria-current": String(shown.jid === chosen.jid) },
    make("span", { class: "face", text: [...shown.pushName][0].toUpperCase(), "aria-hidden": "true" }),
    make("span", { class: "name", text: shown.pushName }),
    last && make("time", { text: clock(last.timestamp) }),
    make("span", { class: "last", text: last ? sayWhat(last) : numberOf(shown.jid) }),
    shown.unread > 0 && make("span", { class: "badge", text: String(shown.unread) }),
  );
  button.dataset.jid = shown.jid;
  button.addEventListener("click", () => choose(shown.jid));
  return button;
}

function wireInstances(choose, changed) {
  on("create", "submit", async () => {
    const name = $("create-name").value.trim();
    await call("POST", "/instance/create", { instanceName: name, integration: "WHATSAPP-BAILEYS" });
    $("create-name").value = "";
    chosen.instance = name;
    choose(null);
    await loadInstances(choose, changed);
  });
  on("pair", "submit", () => call("POST", at("/pair"), { number: $("pair-number").value, profileName: $("pair-name").value || "Phone" }));
  on("unpair", "click", () => call("POST", at("/unpair")));
  on("line", "click", async () => {
    await call("POST", at(instance().offline ? "/online" : "/offline"));
    await loadInstances(choose, changed);
  });
  on("contact", "submit", async () => {
    const { jid } = await call("PUT", at(`/contacts/${encodeURIComponent($("contact-number").value)}`), { pushName: $("contact-name").value });
    $("contact-number").value = $("contact-name").value = "";
    await loadChats(choose, changed);
    choose(jid);
  });
}

function wireBehaviour() {
  $("behaviour").addEventListener("toggle", () => $("behaviour").open && showBehaviour().catch((error) => toast(error.message)));
  on("settings", "submit", async () => {
    const numbers = $("unknown-numbers").value.split(",").map((each) => each.trim()).filter(Boolean);
    const wanted = { autoDeliver: $("auto-deliver").checked, autoRead: $("auto-read").checked, unknownNumbers: numbers };
    await call("PUT", "/simulator/settings", wanted);
    toast(words.saved);
  });
}

async function showBehaviour() {
  const behaviour = await call("GET", "/simulator/settings");
  $("auto-deliver").checked = behaviour.autoDeliver;
  $("auto-read").checked = behaviour.autoRead;
  $("unknown-numbers").value = behaviour.unknownNumbers.join(", ");
}

function wireFaults() {
  on("faults", "submit", async () => {
    const fields = $("faults").elements;
    const current = await call("GET", "/simulator/faults");
    const wanted = Object.fromEntries(Object.entries(OFF).map(([name, off]) => [name, valueOf(fields[name], off)]));
    showFaults(await call("PUT", "/simulator/faults", { ...current, ...wanted }));
    toast(words.saved);
  });
  on("faults-off", "click", async () => {
    showFaults(await call("DELETE", "/simulator/faults"));
    toast(words.saved);
  });
}

function valueOf(field, off) {
  if (typeof off === "boolean") return field.checked;
  return typeof off === "number" ? Number(field.value) || 0 : field.value || null;
}

export async function loadFaults() {
  showFaults(await call("GET", "/simulator/faults"));
}

function showFaults(faults) {
  const fields = $("faults").elements;
  for (const [name, off] of Object.entries(OFF)) {
    if (typeof off === "boolean") fields[name].checked = faults[name];
    else fields[name].value = faults[name] ?? "";
  }
  $("faults-on").hidden = Object.entries(OFF).every(([name, off]) => faults[name] === off) && faults.disconnect.length === 0;
  $("faults-on").textContent = words.faultsOn;
}
