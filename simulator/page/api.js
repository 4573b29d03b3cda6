// The simulator's API. The key is asked for once and stays in this tab (sessionStorage), never in an address.
const STORED = "simulator-key";
const AGAIN_AFTER_MS = [250, 500, 1000, 2000, 5000];

export class Refused extends Error {}

export class Gone extends Error {}

export function key() {
  return sessionStorage.getItem(STORED);
}

export function keep(value) {
  if (value === null) sessionStorage.removeItem(STORED);
  else sessionStorage.setItem(STORED, value);
}

function problem(answer, content) {
  const message = content?.response?.message ?? answer.statusText;
  return [message].flat(3).map((each) => (typeof each === "string" ? each : JSON.stringify(each))).join("; ");
}

async function fetched(method, path, body) {
  const headers = { apikey: key() ?? "" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
  if (answer.status === 401) throw new Refused();
  if (!answer.ok) throw new (answer.status === 404 ? Gone : Error)(problem(answer, await answer.json().catch(() => null)));
  return answer;
}

export async function call(method, path, body) {
  return (await fetched(method, path, body)).json();
}

export async function file(path, type) {
  const content = await (await fetched("GET", path)).arrayBuffer();
  return URL.createObjectURL(new Blob([content], { type }));
}

// Listens for ever: `heard` gets each piece of news, `changed` whether the line stands. EventSource can't send the key.
export async function listen(heard, changed) {
  for (let failures = 0; ; failures += 1) {
    try {
      const answer = await fetched("GET", "/simulator/stream");
      failures = 0;
      changed(true);
      await read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), heard);
    } catch (error) {
      if (error instanceof Refused) return;
    }
    changed(false);
    await new Promise((done) => setTimeout(done, AGAIN_AFTER_MS[Math.min(failures, AGAIN_AFTER_MS.length - 1)]));
  }
}

async function read(reader, heard) {
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) heard(JSON.parse(part.slice("data: ".length)));
  }
}
