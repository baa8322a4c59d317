// Fills, filters and pages the list of items. All text goes in by textContent, never as markup.
"use strict";
(() => {
  const source = document.getElementById("data");
  if (!source) return;
  const { tables, items } = JSON.parse(source.textContent);
  const PAGE = 25;
  const WORDS = { "~": "updated", "+": "created", "-": "deleted", " ": "stays" };
  const SIGNS = { "~": "~", "+": "+", "-": "−", " ": "" };

  const byId = (id) => document.getElementById(id);
  const list = byId("list");
  const more = byId("more");
  const found = byId("found");
  const search = byId("search");
  const tableChoice = byId("table");
  const attributeChoice = byId("attribute");
  const kinds = [...document.querySelectorAll("input[name=kind]")];
  const number = new Intl.NumberFormat("en-US");

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const choices = (select, all, names) => {
    select.append(new Option(all, ""));
    for (const name of names) select.append(new Option(name, name));
    select.closest("label").hidden = names.length < 2;
  };

  // What is searched of an item, made when it is first searched.
  const haystack = (item) => {
    if (item.h === undefined) {
      const parts = [item.n];
      for (const attribute of item.a) {
        parts.push(attribute[0]);
        if (attribute[2]) parts.push(attribute[2]);
        if (attribute[3]) parts.push(attribute[3]);
      }
      item.h = parts.join("\n").toLowerCase();
    }
    return item.h;
  };

  const changed = (item) => item.a.filter((attribute) => attribute[1] !== " ");

  const short = (text, limit) => (text.length > limit ? text.slice(0, limit) + "…" : text);

  const gist = (item) => {
    if (item.k !== "~") return WORDS[item.k];
    const all = changed(item);
    const parts = all.slice(0, 3).map(([name, sign, before, after]) => {
      const value = sign === "~" && before && after ? `${short(before, 24)} → ${short(after, 24)}` : short((sign === "-" ? before : after) || "", 40);
      return `${SIGNS[sign]} ${short(name, 30)} ${value}`.trim();
    });
    if (all.length > 3) parts.push(`and ${number.format(all.length - 3)} more`);
    return parts.join("   ");
  };

  const cell = (name, label, value, className) => {
    const made = element(name, className);
    made.dataset.label = label;
    if (value === null || value === undefined) {
      made.append(element("span", "none", "—"));
    } else {
      const code = element("code", "", value);
      code.dir = "auto";
      made.append(code);
    }
    return made;
  };

  const row = ([name, sign, before, after]) => {
    const made = element("tr", WORDS[sign]);
    const head = element("th");
    head.scope = "row";
    head.append(element("span", "sign", SIGNS[sign]), element("span", "unseen", WORDS[sign] + ": "));
    const label = element("span", "", name);
    label.dir = "auto";
    head.append(label);
    made.append(head, cell("td", "Before", before, "before"));
    made.append(cell("td", "After", sign === " " ? before : after, "after"));
    return made;
  };

  const detail = (item) => {
    const box = element("div", "detail");
    const table = element("table", "images");
    const head = table.createTHead().insertRow();
    for (const title of ["Attribute", "Before", "After"]) {
      const th = element("th", "", title);
      th.scope = "col";
      head.append(th);
    }
    const body = table.createTBody();
    for (const attribute of item.a) body.append(row(attribute));
    if (item.a.length > 0) box.append(table);
    else box.append(element("p", "note", "No attribute is listed."));
    if (item.m) box.append(element("p", "note", `and ${number.format(item.m)} more attributes`));
    return box;
  };

  const entry = (item) => {
    const made = element("details", "item " + WORDS[item.k]);
    const summary = element("summary");
    summary.append(element("span", "sign", SIGNS[item.k]), element("span", "unseen", WORDS[item.k] + ": "));
    const key = element("code", "key", item.n);
    key.dir = "auto";
    summary.append(key);
    const what = element("span", "gist", gist(item));
    what.dir = "auto";
    summary.append(what);
    if (tables.length > 1) summary.append(element("span", "of", tables[item.t]));
    made.append(summary);
    // Most items are never opened, so their tables are not made before.
    made.addEventListener("toggle", () => {
      if (made.open && made.childElementCount === 1) made.append(detail(item));
    });
    return made;
  };

  let matching = [];
  let shown = 0;

  const showMore = (count) => {
    const part = document.createDocumentFragment();
    for (const item of matching.slice(shown, shown + count)) part.append(entry(item));
    shown = Math.min(shown + count, matching.length);
    list.append(part);
    more.hidden = shown >= matching.length;
    const of = matching.length === items.length ? "" : ` of ${number.format(items.length)} listed`;
    found.textContent = matching.length === 0
      ? "No listed item matches."
      : `${number.format(matching.length)}${of} ${matching.length === 1 ? "item" : "items"}, ${number.format(shown)} shown`;
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const allowed = new Set(kinds.filter((kind) => kind.checked).map((kind) => kind.value));
    const table = tableChoice.value === "" ? -1 : tables.indexOf(tableChoice.value);
    const attribute = attributeChoice.value;
    matching = items.filter((item) =>
      allowed.has(item.k) &&
      (table < 0 || item.t === table) &&
      (attribute === "" || item.a.some((one) => one[0] === attribute && one[1] !== " ")) &&
      words.every((word) => haystack(item).includes(word)));
    list.textContent = "";
    shown = 0;
    showMore(PAGE);
  };

  let timer = 0;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(filter, 120);
  };

  choices(tableChoice, "All tables", tables);
  const names = new Set();
  for (const item of items) for (const attribute of changed(item)) names.add(attribute[0]);
  choices(attributeChoice, "All attributes", [...names].sort());
  for (const kind of kinds) {
    const any = items.some((item) => item.k === kind.value);
    kind.closest("label").hidden = !any;
  }
  const form = document.querySelector("form.controls");
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    filter();
  });
  search.addEventListener("input", soon);
  tableChoice.addEventListener("change", filter);
  attributeChoice.addEventListener("change", filter);
  for (const kind of kinds) kind.addEventListener("change", filter);
  more.addEventListener("click", () => {
    const first = shown;
    showMore(PAGE);
    const summary = list.children[first] && list.children[first].querySelector("summary");
    if (summary) summary.focus();
  });
  // Slash goes to the search, and the arrow keys from item to item.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && document.activeElement.type !== "checkbox";
    if (event.key === "/" && !typing) {
      event.preventDefault();
      search.focus();
    }
    const item = document.activeElement.closest("details.item");
    const next = event.key === "ArrowDown" ? "nextElementSibling" : event.key === "ArrowUp" ? "previousElementSibling" : "";
    if (item && next && document.activeElement.tagName === "SUMMARY" && item[next]) {
      event.preventDefault();
      item[next].querySelector("summary").focus();
    }
  });
  // On paper nothing can be opened.
  addEventListener("beforeprint", () => {
    for (const one of list.children) one.open = true;
    for (const one of list.children) if (one.childElementCount === 1) one.append(detail(matching[[...list.children].indexOf(one)]));
  });
  filter();
})();
