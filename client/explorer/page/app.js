import { absent, ask, block, network, transaction } from "./api.js";
import { amount, el, hex, link, mark, mono, nanos, rows, section, short, table, time, value, word } from "./dom.js";

const main = document.getElementById("main");
const newest = []; // blocks that have come, the newest first
const most = 20;

// Each view returns what the page shows. It is drawn only if the reader is still there when it is ready.
const views = {
  "": overview,
  blocks: ([height]) => blockView(height),
  tx: ([id]) => transactionView(id),
  orgs: ([name]) => (name ? orgView(name) : orgsView()),
  accounts: (path) => accountView(path.join("/")),
  assets: (path) => (path.length ? assetView(path.join("/")) : assetsView()),
  collections: (path) => collectionView(path.join("/")),
  records: (path) => recordView(path.join("/")),
  nodes: ([name]) => nodeView(name),
  proposals: ([id]) => (id ? proposalView(id) : proposalsView()),
  charter: charterView,
  search: ([query]) => searchView(query),
};

const accountLink = (name) => (name ? link("accounts/" + name, name) : "");
const assetLink = (name) => link("assets/" + name, name);
const recordLink = (name) => link("records/" + name, name);
const orgLink = (name) => link("orgs/" + name, name);
const blockLink = (height) => link("blocks/" + height, height);
const transactionLink = (id) => link("tx/" + id, mono(short(id)));

let drawing = 0;
let refresh; // redraws the parts of the present view that follow the network

async function draw() {
  const mine = ++drawing;
  refresh = undefined;
  const [view, ...path] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  for (const a of document.querySelectorAll("nav a")) {
    if (a.getAttribute("href") === "#/" + view) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  let shown;
  try {
    if (!Object.hasOwn(views, view)) throw new Error("There is no such page.");
    shown = await views[view](path.filter((part) => part !== ""));
  } catch (failure) {
    shown = failed(failure);
  }
  if (mine !== drawing) return;
  main.replaceChildren(...[shown].flat(Infinity));
  main.focus({ preventScroll: true });
}

function failed(failure) {
  const title = failure.lie ? "A node told something that is not so" : failure.code === "NOT_FOUND" ? "Not there" : "No answer";
  return el("section", { class: "error", role: "alert" }, el("h2", {}, title), el("p", {}, failure.message));
}

// part draws a section that may fail by itself.
async function part(make) {
  try {
    return await make();
  } catch (failure) {
    return failed(failure);
  }
}

async function overview() {
  const blocks = el("div", {}, blocksTable());
  const nodes = el("div", {});
  const validators = el("div", {});
  const update = async () => {
    blocks.replaceChildren(blocksTable());
    const [nodesNow, validatorsNow] = await Promise.all([part(nodesSection), part(validatorsSection)]);
    nodes.replaceChildren(nodesNow);
    validators.replaceChildren(validatorsNow);
  };
  await update();
  refresh = update;
  return [nodes, el("div", { class: "columns" }, el("section", {}, el("h2", {}, "Blocks"), blocks), validators)];
}

function blocksTable() {
  return table(["Height", "Time", ">Transactions", "~Proposer"],
    newest.map((b) => [value(blockLink(b.height), b.verified), time(b.time), value(b.tx_count, b.verified), value(b.proposer, false)]), "waiting for the next block");
}

async function nodesSection() {
  const n = await network();
  return section("Nodes", { verified: false },
    el("p", {}, "This explorer trusts the genesis hash ", mono(n.genesis_hash), "."),
    table(["Node", "Org", "State", ">Height", ">Peers", "~Version"], n.nodes.map((one) => {
      const s = one.status;
      if (!s) return [one.name || one.address, one.org, el("span", { class: "mark bad", title: one.error }, "no answer"), "", "", ""];
      const state = s.ready ? "ready" : s.waiting || s.phase;
      return [link("nodes/" + (one.name || s.node), one.name || s.node), orgLink(one.org || s.org), state, s.height, (s.peers || []).length, s.version];
    })));
}

async function validatorsSection() {
  const a = await ask("membership", "ListValidators");
  const v = a.verified;
  return section("Validators", a, table(["Validator", "Org", ">Power", ">Signed"], a.answer.validators.map((one) => [
    value(link("nodes/" + one.name, one.name), v), value(orgLink(one.org), v), value(one.power, v),
    value(`${one.signed} of ${one.asked}`, false)])));
}

async function blockView(height) {
  const b = await block(height);
  const v = b.verified;
  return [
    el("h1", {}, `Block ${b.height}`),
    section("Header", { verified: v, height: b.height }, rows(v, [
      ["Time", time(b.time)], ["Hash", mono(b.hash)], ["State after it", mono(b.app_hash)], ["Proposed by", b.proposer, false],
      ["Before", b.height > 1 ? blockLink(b.height - 1) : undefined], ["After", blockLink(b.height + 1)]])),
    section(`${b.tx_count} transactions`, { verified: v }, table(["#", "Transaction", "What", "Outcome"],
      (b.transactions || []).map((t) => [t.index, value(transactionLink(t.id), v), value(whatItDoes(t), v), value(outcomeOf(t), v)]))),
  ];
}

const kindOf = (operation) => Object.keys(operation).find((key) => key !== "account") || "";
const spaced = (name) => name.replace(/([A-Z])/g, " $1").toLowerCase();
const whatItDoes = (t) => (t.body ? t.body.operations.map((o) => spaced(kindOf(o))).join(", ") : "no transaction");
const outcomeOf = (t) => (t.status === "COMMITTED" ? "applied" : t.status === "PENDING" ? "pending" : word(t.code, "CODE_"));

async function transactionView(id) {
  const t = await transaction(id);
  if (t.status === "PENDING") {
    refresh = draw;
    return [el("h1", {}, "Transaction"), section("Pending", { verified: false }, rows(false, [["Id", mono(t.id)]]))];
  }
  const v = t.verified;
  return [
    el("h1", {}, "Transaction"),
    section(t.status === "COMMITTED" ? "Applied" : "Rejected", { verified: v, height: t.height }, rows(v, [
      ["Id", mono(t.id)], ["Block", blockLink(t.height)], ["Time", time(t.time)],
      ["Outcome", outcomeOf(t)], ["In words", t.message, false], ["Signed by", (t.signers || []).map((s, i) => [i ? ", " : "", accountLink(s)])],
      ["Memo", t.body && t.body.memo]]),
    el("p", { class: "soft" }, "A file that proves this for ever: ", mono(`althing tx receipt ${t.id} -o receipt`))),
    section("Operations", { verified: v }, ((t.body && t.body.operations) || []).map((o) => record(o, kindOf(o), o.account, v))),
    section("Events", { verified: v }, (t.events || []).length === 0 ? el("p", { class: "empty" }, "none")
      : t.events.map((e) => record(e, Object.keys(e).find((key) => key !== "operation"), "", v))),
  ];
}

// record shows the fields of one operation or event.
function record(holder, kind, account, proven) {
  const fields = holder[kind] || {};
  return [el("p", {}, el("strong", {}, spaced(kind || "")), account ? [" by ", accountLink(account)] : ""),
    rows(proven, Object.entries(fields).map(([name, field]) => [spaced(name), fieldOf(name, field)]))];
}

function fieldOf(name, field) {
  if (field === null || field === "" || (Array.isArray(field) && field.length === 0)) return undefined;
  if (typeof field === "object") return el("pre", {}, JSON.stringify(field, undefined, 2));
  if (["from", "to", "account", "arbiter", "writer", "cosigner"].includes(name)) return accountLink(field);
  if (name === "asset") return assetLink(field);
  if (name === "record") return recordLink(field);
  if (name.endsWith("UnixNano")) return nanos(field);
  return String(field);
}

// pages shows a listing and, while there is more, a button for it.
async function pages(service, method, question, key, show) {
  const holder = el("div", {});
  // The pages of a listing are of one height. The history has none: its pages follow one another whatever comes.
  const more = async (page, height) => {
    const a = await ask(service, method, { ...question, page, ...(height && service !== "history" ? { height } : {}) });
    holder.append(el("p", {}, mark(a)), show(a.answer[key] || [], a.verified, a.answer));
    if (a.answer.nextPage) {
      const button = el("button", { type: "button", onclick: async () => { button.remove(); holder.append(await part(() => more(a.answer.nextPage, a.height))); } }, "More");
      holder.append(button);
    }
    return "";
  };
  await more("");
  return holder;
}

const list = (service, method, question, key, heads, line) =>
  pages(service, method, question, key, (items, v, answer) => table(heads, items.map((item, i) => line(item, v, answer, i))));

async function orgsView() {
  return [el("h1", {}, "Organisations"), el("section", {}, await list("accounts", "ListOrgs", {}, "orgs", ["Org", "Status", ">Admins", "Member since"],
    (o, v) => [value(orgLink(o.name), v), value(word(o.status, "ORG_STATUS_"), v), value(o.admins, v), value(o.joinedHeight === "0" ? "genesis" : blockLink(o.joinedHeight), v)]))];
}

async function orgView(name) {
  const a = await ask("accounts", "GetOrg", { name });
  const o = a.answer.org;
  return [
    el("h1", {}, name),
    section("Organisation", a, rows(a.verified, [["Status", word(o.status, "ORG_STATUS_")], ["Reason", o.statusReason], ["Admins", o.admins],
      ["Voting power it may use", o.allotment && o.allotment.power], ["Nodes it may list", o.allotment && o.allotment.nodes],
      ["Bytes stored", a.answer.usage && a.answer.usage.storedBytes]])),
    el("section", {}, el("h2", {}, "Accounts"), await part(() => list("accounts", "ListAccounts", { org: name }, "accounts", ["Account", "Roles"],
      (x, v) => [value(accountLink(x.name), v), value(x.roles.join(", ") || "—", v)]))),
    el("section", {}, el("h2", {}, "Assets"), await part(() => assetList({ org: name }))),
    await part(() => historySection({ org: name })),
  ];
}

async function accountView(name) {
  const a = await ask("accounts", "GetAccount", { name });
  const x = a.answer.account;
  return [
    el("h1", {}, name),
    section("Account", a, rows(a.verified, [["Org", orgLink(name.split("/")[0])], ["Roles", x.roles.join(", ")], ["Threshold", x.threshold],
      ["Created at", x.createdHeight === "0" ? "genesis" : blockLink(x.createdHeight)]]),
    table(["Key", "~Scheme", ">Weight"], x.keys.map((k) => [value(mono(hex(k.publicKey.key)), a.verified),
      word(k.publicKey.scheme, "SIGNATURE_SCHEME_"), value(k.weight, a.verified)]))),
    el("section", {}, el("h2", {}, "Balances"), await part(() => list("assets", "ListBalances", { account: name }, "holdings", ["Asset", ">Balance", ">Held"],
      (h, v, answer, i) => [value(assetLink(h.asset), v), value(amount(h.balance, answer.decimals[i]), v), value(amount(h.held, answer.decimals[i]), v)]))),
    await part(() => historySection({ account: name })),
  ];
}

const assetList = (question) => list("assets", "ListAssets", question, "assets", ["Asset", ">Decimals", ">Cap"],
  (x, v) => [value(assetLink(x.name), v), value(x.decimals, v), value(x.cap ? amount(x.cap, x.decimals) : "none", v)]);

async function assetsView() {
  return [el("h1", {}, "Assets"), el("section", {}, await assetList({}))];
}

async function assetView(name) {
  const a = await ask("assets", "GetAsset", { asset: name });
  const x = a.answer.asset;
  return [
    el("h1", {}, name),
    section("Asset", a, rows(a.verified, [["Supply", amount(a.answer.supply, x.decimals)], ["Decimals", x.decimals],
      ["Cap", x.cap ? amount(x.cap, x.decimals) : "none"], ["Minted by", `accounts of ${name.split("/")[0]} with the role ${x.mintRole}`],
      ["Created at", blockLink(x.createdHeight)]])),
    el("section", {}, el("h2", {}, "Holders"), await part(() => list("assets", "ListBalances", { asset: name }, "holdings", ["Account", ">Balance", ">Held", "~"],
      (h, v) => [value(accountLink(h.account), v), value(amount(h.balance, x.decimals), v), value(amount(h.held, x.decimals), v), h.frozen ? "frozen" : ""]))),
    await part(() => historySection({ asset: name })),
  ];
}

async function collectionView(name) {
  return [el("h1", {}, name), el("section", {}, el("h2", {}, "Records"), await list("records", "ListRecords", { collection: name }, "records",
    ["Record", ">Version", "~Content type", "~Written by"], (r, v) => [value(recordLink(r.name), v), value(r.version, v), value(r.contentType, v), value(accountLink(r.writer), v)]))];
}

async function recordView(name) {
  const a = await ask("records", "GetRecord", { record: name });
  const r = a.answer.record;
  const text = r.data && /^(text\/|application\/(json|xml))/.test(r.contentType) ? new TextDecoder().decode(Uint8Array.from(atob(r.data), (c) => c.charCodeAt(0))) : undefined;
  return [
    el("h1", {}, name),
    section("Record", a, rows(a.verified, [["Version", r.version], ["Content type", r.contentType], ["SHA-256 of the document", r.hash && mono(hex(r.hash.sha256))],
      ["Bytes", r.hash ? r.hash.size : atob(r.data || "").length], ["Written by", accountLink(r.writer)], ["Cosigned by", accountLink(r.cosigner)], ["Time", nanos(r.timeUnixNano)],
      ["Transaction", r.txId && transactionLink(hex(r.txId))]]), text !== undefined && el("pre", {}, text)),
    el("section", {}, el("h2", {}, "Versions"), await part(() => list("records", "GetHistory", { record: name }, "records", [">Version", "Written by", "~Time", "Transaction"],
      (x, v) => [value(x.version, v), value(accountLink(x.writer), v), value(nanos(x.timeUnixNano), v), x.txId ? value(transactionLink(hex(x.txId)), v) : ""]))),
    await part(() => historySection({ record: name })),
  ];
}

async function historySection(subject) {
  return el("section", {}, el("h2", {}, "Transactions"), await list("history", "ListTransactions", subject, "transactions",
    ["Transaction", "Block", "~Time", "Outcome"], (t) => [value(transactionLink(hex(t.id)), false), value(blockLink(t.height), false), nanos(t.timeUnixNano),
      value(t.code === "CODE_OK" ? "applied" : word(t.code, "CODE_"), false)]));
}

async function nodeView(name) {
  const a = await ask("membership", "GetNode", { name });
  const n = a.answer.node;
  return [
    el("h1", {}, name),
    section("Node", a, rows(a.verified, [["Org", orgLink(n.org)], ["Kind", n.power === "0" ? "observer" : "validator"], ["Voting power", n.power],
      ["Node key", mono(hex(n.nodeKey))], ["Validator key", n.validatorKey && mono(hex(n.validatorKey))], ["Addresses", n.addresses.join(", ")],
      ["Listed at", n.listedHeight === "0" ? "genesis" : blockLink(n.listedHeight)], ["Removed at", n.removedHeight === "0" ? undefined : blockLink(n.removedHeight)]])),
    el("section", {}, el("h2", {}, "Changes"), await part(() => list("membership", "ListChanges", { node: name }, "changes", ["Height", "What"],
      (c, v) => [value(blockLink(c.height), v), value(el("pre", {}, JSON.stringify(c, undefined, 2)), v)]))),
  ];
}

async function proposalsView() {
  return [el("h1", {}, "Proposals"), el("section", {}, await list("proposals", "ListProposals", {}, "proposals", ["#", "Title", "By", "Status"],
    (p, v) => [value(link("proposals/" + p.id, p.id), v), value(p.title || "—", v), value(accountLink(p.account), v), value(word(p.status, "PROPOSAL_STATUS_"), v)]))];
}

async function proposalView(id) {
  const a = await ask("proposals", "GetProposal", { id });
  const p = a.answer.proposal;
  const tally = a.answer.tally || {};
  return [
    el("h1", {}, `Proposal ${p.id}: ${p.title || "without a title"}`),
    section("Proposal", a, rows(a.verified, [["Status", word(a.answer.status, "PROPOSAL_STATUS_")], ["By", accountLink(p.account)],
      ["Votes", `${tally.yes} yes, ${tally.no} no, of ${tally.orgs}; ${tally.needed} needed`], ["Deadline", nanos(p.deadlineUnixNano)],
      ["Made at", blockLink(p.createdHeight)], ["Closed at", p.closedHeight === "0" ? undefined : blockLink(p.closedHeight)], ["Why it failed", p.message]])),
    section("Operations", a, (p.operations || []).map((o) => record(o, kindOf(o), o.account, a.verified))),
    section("Ballots", a, table(["Org", "Vote"], (p.ballots || []).map((b) => [value(orgLink(b.org), a.verified), value(b.yes ? "yes" : "no", a.verified)]))),
    (a.answer.changes || []).length > 0 && section("What it would change", { verified: false },
      table(["Subject", "Property", "Before", "After"], a.answer.changes.map((c) => [c.subject, c.property, c.before, c.after]))),
  ].filter(Boolean);
}

async function charterView() {
  const a = await ask("governance", "GetCharter");
  return [el("h1", {}, "Charter"), section("Rules in force", a, rows(a.verified, [["Feature level", a.answer.featureLevel],
    ...Object.entries(a.answer.charter).map(([name, field]) => [spaced(name), fieldOf(name, field)])]))];
}

// searchView finds what a name, a number or an id stands for.
async function searchView(query) {
  const q = (query || "").trim();
  if (/^[0-9a-fA-F]{64}$/.test(q)) return go("tx/" + q.toLowerCase());
  if (/^\d+$/.test(q)) return go("blocks/" + q);
  const parts = q.split("/");
  if (parts.length === 3) return go("records/" + q);
  const tries = parts.length === 2
    ? [["accounts", "GetAccount", { name: q }, "account", "accounts/"], ["assets", "GetAsset", { asset: q }, "asset", "assets/"],
      ["records", "GetCollection", { collection: q }, "set", "collections/"]]
    : [["accounts", "GetOrg", { name: q }, "org", "orgs/"], ["membership", "GetNode", { name: q }, "node", "nodes/"]];
  for (const [service, method, question, key, to] of tries) {
    const found = await absent(ask(service, method, question));
    if (found && found.answer[key]) return go(to + q);
  }
  return el("section", {}, el("h2", {}, "Nothing found"),
    el("p", {}, "There is no transaction id, height, org, node, account, asset, collection or record of that name: ", mono(q)));
}

function go(to) {
  location.replace("#/" + to.split("/").map(encodeURIComponent).join("/"));
  return [];
}

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = document.getElementById("query").value.trim();
  if (query) location.hash = "#/search/" + encodeURIComponent(query);
});
window.addEventListener("hashchange", draw);

// What follows the network is redrawn at most once a second, and not while nobody looks.
const live = document.getElementById("live");
let waiting = false;
function follow() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    if (refresh && !document.hidden) refresh();
  }, 1000);
}

const source = new EventSource("api/watch");
source.addEventListener("block", (event) => {
  const b = JSON.parse(event.data);
  newest.unshift(b);
  newest.length = Math.min(newest.length, most);
  live.className = "live on";
  live.textContent = `height ${b.height}`;
  follow();
});
source.addEventListener("open", () => { live.className = "live on"; if (!newest.length) live.textContent = "following"; });
source.addEventListener("error", () => { live.className = "live off"; live.textContent = "connecting again"; });

// The blocks before the first one that comes, so that the page of an idle ledger is not empty.
async function begin() {
  try {
    const n = await network();
    document.getElementById("network").textContent = n.chain_id;
    const top = Math.max(0, ...n.nodes.map((one) => Number((one.status || {}).height || 0)));
    for (let height = top; height > 0 && height > top - 8; height--) {
      const b = await block(height);
      if (!newest.some((one) => one.height === b.height)) newest.push(b);
    }
    newest.sort((a, b) => b.height - a.height);
    if (newest.length && live.textContent === "following") live.textContent = `height ${newest[0].height}`;
    follow();
  } catch (failure) {
    live.className = "live off";
    live.textContent = failure.message;
  }
}

draw();
begin();
