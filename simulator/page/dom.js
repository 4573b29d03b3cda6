// Making elements. Whatever comes from outside is only ever set as text.
const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  picture: "M4 5h16v14H4zM8.5 11a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3M4 17l5-4 3 2 4-4 4 4",
  record: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3M6 11a6 6 0 0 0 12 0M12 17v4",
  sound: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0M19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0",
  send: "M4 12l16-8-6 16-3-6zM11 14l9-10",
};

export const $ = (id) => document.getElementById(id);

export function make(tag, { text, ...properties } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  if (text !== undefined) element.textContent = text;
  element.append(...children.filter(Boolean));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

let hiding;

export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => ($("toast").hidden = true), 6000);
}

// Runs `work` when the form is sent or the button pressed; a failure is shown, and nothing is sent twice meanwhile.
export function on(id, kind, work) {
  const element = $(id);
  let busy = false;
  element.addEventListener(kind, async (event) => {
    if (kind === "submit") event.preventDefault();
    if (busy) return;
    busy = true;
    try {
      await work(event);
    } catch (error) {
      toast(error.message);
    } finally {
      busy = false;
    }
  });
}

// Calls `work` once for all that comes within `ms`.
export function gathered(work, ms) {
  let waiting;
  return () => {
    waiting ??= setTimeout(() => {
      waiting = undefined;
      work().catch((error) => toast(error.message));
    }, ms);
  };
}
