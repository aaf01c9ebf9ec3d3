// Renders openapi.json. All texts go in as text, never as markup.
"use strict";

const KEY = "questlake.key";

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value);
  node.append(...children);
  return node;
}

function headers(extra = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...extra, Authorization: `Bearer ${key}` } : extra;
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `${typeOf(schema.items)} …`;
  return [schema.format || [].concat(schema.type || []).join(" | ")].join("");
}

function parameterRows(parameters) {
  return parameters.map((parameter) => {
    const id = `p-${Math.random().toString(36).slice(2)}`;
    const field = element("input", { id, "data-name": parameter.name, "data-in": parameter.in });
    const fallback = parameter.schema && parameter.schema.default;
    if (fallback !== undefined) field.placeholder = String(fallback);
    return element("tr", {},
      element("td", {}, element("label", { for: id }, element("code", {}, parameter.name)),
        parameter.required ? " *" : ""),
      element("td", {}, typeOf(parameter.schema)),
      element("td", {}, parameter.description || ""),
      element("td", {}, field));
  });
}

async function send(path, method, form, output) {
  const query = new URLSearchParams();
  let address = path;
  for (const field of form.querySelectorAll("[data-in]")) {
    if (!field.value) continue;
    if (field.dataset.in === "path") {
      address = address.replace(`{${field.dataset.name}}`, encodeURIComponent(field.value));
    } else {
      query.append(field.dataset.name, field.value);
    }
  }
  const body = form.querySelector("textarea");
  const url = query.size ? `${address}?${query}` : address;
  output.textContent = "…";
  const begun = performance.now();
  try {
    const response = await fetch(url, {
      method: method.toUpperCase(),
      headers: headers(body ? { "Content-Type": "application/json" } : {}),
      body: body ? body.value : undefined,
    });
    const text = await response.text();
    const took = Math.round(performance.now() - begun);
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 1); } catch { /* not JSON */ }
    const lines = [`${response.status} ${response.statusText} in ${took} ms, ${text.length} characters`];
    lines.push(`${method.toUpperCase()} ${url}`, "", shown.slice(0, 100000));
    output.textContent = lines.join("\n");
  } catch (error) {
    output.textContent = String(error);
  }
}

function entry(path, method, operation) {
  const output = element("pre", { tabindex: "0", "aria-label": "Answer" });
  const form = element("form", {});
  if (operation.parameters && operation.parameters.length) {
    form.append(element("table", {}, element("tbody", {}, ...parameterRows(operation.parameters))));
  }
  if (operation.requestBody) {
    const example = path.endsWith("/query") ? '{"sql": "SHOW TABLES"}' : "{}";
    form.append(element("textarea", { "aria-label": "Body", spellcheck: "false" }, example));
  }
  form.append(element("button", {}, "Send"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(path, method, form, output);
  });
  const answers = Object.entries(operation.responses || {})
    .map(([status, answer]) => element("li", {}, element("code", {}, status), ` ${answer.description}`));
  return element("details", { id: operation.operationId },
    element("summary", {}, element("span", { class: "method" }, method.toUpperCase()),
      element("code", {}, path), element("span", {}, operation.summary || "")),
    element("div", { class: "inside" }, element("p", {}, operation.description || ""), form, output,
      element("ul", {}, ...answers)));
}

async function show() {
  const about = document.getElementById("about");
  const entries = document.getElementById("entries");
  entries.replaceChildren();
  const response = await fetch("/openapi.json", { headers: headers() });
  if (!response.ok) {
    about.textContent = "The document needs a key: `questlake key create NAME --scope read` makes one.";
    return;
  }
  const openapi = await response.json();
  about.replaceChildren(`${openapi.info.description} `, element("a", { href: "/openapi.json" }, "openapi.json"));
  const groups = new Map();
  for (const [path, methods] of Object.entries(openapi.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags && operation.tags[0]) || "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(entry(path, method, operation));
    }
  }
  for (const [tag, nodes] of groups) entries.append(element("h2", {}, tag), ...nodes);
  if (location.hash) document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
}

document.getElementById("key").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = document.getElementById("key-text").value.trim();
  if (text) sessionStorage.setItem(KEY, text); else sessionStorage.removeItem(KEY);
  show();
});
show();
