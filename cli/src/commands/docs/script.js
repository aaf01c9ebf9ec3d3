"use strict";

// The contents are open beside the page where there is room for them.
const side = document.querySelector(".side");
const wide = matchMedia("(min-width: 64rem)");
const showSide = () => { side.open = wide.matches; };
wide.addEventListener("change", showSide);
showSide();
const here = side.querySelector("[aria-current]");
if (wide.matches && here) side.scrollTop = here.offsetTop - side.clientHeight / 2;

// Lineage: what is pointed at, everything that it is made of, and everything made of it.
for (const svg of document.querySelectorAll("svg.lineage")) {
  const edges = [...svg.querySelectorAll("[data-from]")];
  const nodes = [...svg.querySelectorAll("[data-id]")];
  const into = new Map();
  const out = new Map();
  const add = (map, key, edge) => map.has(key) ? map.get(key).push(edge) : map.set(key, [edge]);
  for (const edge of edges) {
    add(into, edge.dataset.to, edge);
    add(out, edge.dataset.from, edge);
  }
  let kept = null;
  const walk = (start, map, end, seen, lit) => {
    for (const edge of map.get(start) ?? []) {
      lit.add(edge);
      const next = edge.dataset[end];
      if (!seen.has(next)) {
        seen.add(next);
        walk(next, map, end, seen, lit);
      }
    }
  };
  const trace = (id) => {
    svg.classList.toggle("traced", id !== null);
    const ids = new Set([id]);
    const lit = new Set();
    if (id !== null) {
      walk(id, into, "from", ids, lit);
      walk(id, out, "to", ids, lit);
    }
    for (const edge of edges) edge.classList.toggle("lit", lit.has(edge));
    for (const node of nodes) node.classList.toggle("lit", ids.has(node.dataset.id));
  };
  const keep = (node) => {
    kept = kept === node.dataset.id ? null : node.dataset.id;
    for (const other of nodes) {
      if (other.hasAttribute("aria-pressed")) other.setAttribute("aria-pressed", String(other.dataset.id === kept));
    }
    trace(kept);
  };
  for (const node of nodes) {
    node.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") trace(node.dataset.id); });
    node.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") trace(kept); });
    node.addEventListener("focus", () => { if (node.matches(":focus-visible")) trace(node.dataset.id); });
    node.addEventListener("blur", () => trace(kept));
    if (!node.classList.contains("column")) continue;
    node.addEventListener("click", () => keep(node));
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        keep(node);
      }
    });
  }
  // The table of the page stands in the middle of its drawing.
  const box = svg.parentElement;
  const centre = svg.querySelector(".centre .box");
  if (centre && box.scrollWidth > box.clientWidth) {
    const middle = centre.x.baseVal.value + centre.width.baseVal.value / 2;
    box.scrollLeft = middle - box.clientWidth / 2;
  }
}

// Search: every word must be somewhere; names count more than descriptions.
const input = document.getElementById("search");
const list = document.getElementById("results");
let found = [];
let chosen = -1;

const score = (entry, words) => {
  const [name, kind, , text] = entry;
  const lower = name.toLowerCase();
  let total = kind === "column" || kind === "property" ? 0 : 2;
  for (const word of words) {
    if (lower === word) total += 20;
    else if (lower.startsWith(word)) total += 10;
    else if (lower.split(/[._ ]/).some((part) => part.startsWith(word))) total += 6;
    else if (lower.includes(word)) total += 4;
    else if (text.toLowerCase().includes(word)) total += 1;
    else return 0;
  }
  return total;
};

const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
};

const close = () => {
  list.hidden = true;
  chosen = -1;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
};

const choose = (index) => {
  chosen = index;
  [...list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
  const item = list.children[index];
  if (!item) return;
  input.setAttribute("aria-activedescendant", item.id);
  item.scrollIntoView({ block: "nearest" });
};

const go = (index) => {
  const entry = found[index];
  if (!entry) return;
  close();
  input.value = "";
  location.href = entry[2];
};

const search = () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return close();
  found = SEARCH.map((entry) => [score(entry, words), entry])
    .filter(([points]) => points > 0)
    .sort(([left, a], [right, b]) => right - left || a[0].length - b[0].length || a[0].localeCompare(b[0]))
    .slice(0, 30)
    .map(([, entry]) => entry);
  list.replaceChildren(...found.map((entry, index) => {
    const item = document.createElement("li");
    item.id = `result-${index}`;
    item.setAttribute("role", "option");
    item.append(element("span", "what", entry[1]), element("code", "", entry[0]));
    if (entry[3]) item.append(element("span", "text", entry[3]));
    item.addEventListener("pointerdown", (event) => { event.preventDefault(); go(index); });
    return item;
  }));
  if (found.length === 0) {
    const item = element("li", "none", "Nothing has this in its name or description.");
    item.setAttribute("role", "option");
    item.setAttribute("aria-disabled", "true");
    list.append(item);
  }
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
  choose(found.length > 0 ? 0 : -1);
};

input.addEventListener("input", search);
input.addEventListener("focus", search);
input.addEventListener("blur", close);
input.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (list.hidden) input.value = "";
    close();
  } else if (list.hidden || found.length === 0) {
    return;
  } else if (event.key === "ArrowDown") {
    event.preventDefault();
    choose((chosen + 1) % found.length);
  } else if (event.key === "ArrowUp") {
    event.preventDefault();
    choose((chosen - 1 + found.length) % found.length);
  } else if (event.key === "Enter") {
    event.preventDefault();
    go(chosen);
  }
});
addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    input.focus();
  }
});
