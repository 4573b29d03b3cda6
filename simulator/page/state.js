// What is chosen, and the addresses that follow from it.
export const chosen = { instance: null, jid: null };
export const known = { instances: [], chats: [] };

export const numberOf = (jid) => jid.split("@")[0];
export const instance = () => known.instances.find((each) => each.name === chosen.instance);
export const chat = () => known.chats.find((each) => each.jid === chosen.jid);
export const at = (path = "") => `/simulator/instances/${encodeURIComponent(chosen.instance)}${path}`;
export const chatAt = (path = "") => at(`/chats/${encodeURIComponent(chosen.jid)}${path}`);
