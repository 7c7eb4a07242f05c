// What the pages are made of. Text from the network only ever becomes text: nothing here makes markup of it.

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

export const link = (to, text) => el("a", { href: "#/" + to.split("/").map(encodeURIComponent).join("/") }, text);
export const mono = (text) => el("code", {}, text);

// mark says what an answer is worth.
export function mark(answer) {
  if (answer.verified) {
    const where = answer.height ? ` at height ${answer.height}` : "";
    return el("span", { class: "mark proven", title: `Proven${where}: the proof leads to a header that the validators signed.` }, `✓ verified${where}`);
  }
  return el("span", { class: "mark word", title: "A node says so; no proof came with it." }, "node’s word");
}

// value shows one value and what it is worth.
export function value(shown, proven) {
  const sign = proven
    ? el("span", { class: "tick", title: "verified", "aria-label": "verified" }, "✓")
    : el("span", { class: "said", title: "a node's word", "aria-label": "a node's word" }, "°");
  return [shown, sign];
}

export function section(title, answer, ...children) {
  return el("section", {}, el("h2", {}, title, answer && mark(answer)), children);
}

// rows shows name and value pairs; those without a value are left out.
export function rows(proven, pairs) {
  return el("dl", {}, pairs.filter(([, shown]) => shown !== undefined && shown !== "" && shown !== null)
    .map(([name, shown, worth = proven]) => [el("dt", {}, name), el("dd", {}, value(shown, worth))]));
}

export function table(heads, lines, empty = "none") {
  if (lines.length === 0) return el("p", { class: "empty" }, empty);
  const classOf = (head) => (head.startsWith(">") ? "number" : head.startsWith("~") ? "wide" : undefined);
  return el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { class: classOf(head) }, head.replace(/^[>~]/, ""))))),
    el("tbody", {}, lines.map((cells) => el("tr", {}, cells.map((cell, i) => el("td", { class: classOf(heads[i]) }, cell))))));
}

export const hex = (base64) => Array.from(atob(base64 || ""), (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
export const short = (text, n = 16) => (text.length > n ? text.slice(0, n) + "…" : text);

// amount shows base units with an asset's decimals.
export function amount(units, decimals) {
  const digits = String(units || "0").padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, " ");
  return decimals ? `${whole}.${digits.slice(-decimals)}` : whole;
}

export const time = (text) => (text ? text.replace("T", " ").replace(/(\.\d{3})\d*/, "$1").replace("Z", " UTC") : "");
export const nanos = (n) => (n && n !== "0" ? time(new Date(Number(BigInt(n) / 1000000n)).toISOString()) : "");
export const word = (constant, prefix) => String(constant || "").replace(prefix, "").toLowerCase().replaceAll("_", " ");
