// The phone in the browser: puts the parts together and passes the news on.
import * as api from "./api.js";
import * as chat from "./chat.js";
import { $, on, toast } from "./dom.js";
import * as panels from "./panels.js";
import { chosen } from "./state.js";
import { translate, words } from "./words.js";

translate();

function choose(jid) {
  chosen.jid = jid;
  $("phone").dataset.pane = jid ? "chat" : "list";
  for (const each of document.querySelectorAll("[data-jid]")) each.setAttribute("aria-current", String(each.dataset.jid === jid));
  chat.open().then(() => jid && $("text").focus()).catch((error) => toast(error.message));
}

const show = panels.prepare(choose, chat.header);
chat.prepare(() => choose(null));

const NEWS = {
  message: (news) => {
    chat.heard(news.jid, news.message);
    show.showChats();
  },
  status: (news) => {
    chat.marked(news.jid, news.id, news.status);
    show.showChats();
  },
  presence: (news) => chat.typing(news.jid, news.presence),
  chat: () => show.showChats(),
};

function heard(news) {
  if (news.type === "resync") {
    show.showInstances();
    chat.open().catch((error) => toast(error.message));
  } else if (news.type === "instance") show.showInstances();
  else if (news.instance === chosen.instance) NEWS[news.type]?.(news);
}

function changed(live) {
  $("live").textContent = live ? words.live : words.notLive;
  $("live").classList.toggle("on", live);
  if (live) heard({ type: "resync" });
}

async function begin() {
  await panels.loadInstances(choose, chat.header);
  await panels.loadFaults();
  $("login").close();
  $("phone").hidden = false;
  choose(null);
  api.listen(heard, changed).then(ask);
}

function ask() {
  api.keep(null);
  $("phone").hidden = true;
  if (!$("login").open) $("login").showModal();
  $("key").focus();
}

// After a reload; a simulator that is just starting is waited for.
function resume() {
  begin().catch((error) => {
    if (error instanceof api.Refused) return ask();
    toast(words.unreachable);
    setTimeout(resume, 2000);
  });
}

$("login").addEventListener("cancel", (event) => event.preventDefault());
on("login-form", "submit", async () => {
  $("login-error").textContent = "";
  api.keep($("key").value.trim());
  try {
    await begin();
    $("key").value = "";
  } catch (error) {
    api.keep(null);
    $("login-error").textContent = error instanceof api.Refused ? words.wrongKey : error instanceof TypeError ? words.unreachable : error.message;
  }
});
on("forget", "click", () => {
  api.keep(null);
  location.reload();
});

if (api.key() === null) ask();
else resume();
