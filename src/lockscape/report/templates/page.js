// What the page can do with a script: choose what a figure shows, choose systems, point at values with the pointer or
// the keys, sort tables, filter statements, choose the colours. Without it everything is there, one below the other.
"use strict";
(() => {
  const make = (name, properties, ...children) => {
    const found = Object.assign(document.createElement(name), properties);
    found.append(...children);
    return found;
  };
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  let groups = 0;

  /** Return a group of radio buttons: options are [value, text]. */
  const choices = (legend, options, chosen, change) => {
    const name = `group-${groups++}`;
    const group = make("fieldset", {}, make("legend", { textContent: legend }));
    for (const [value, text] of options) {
      const input = make("input", { type: "radio", name, value, checked: value === chosen });
      input.addEventListener("change", () => change(value));
      group.append(make("label", { className: "choice" }, input, make("span", { textContent: text })));
    }
    return group;
  };

  // --- variants of a figure: one is shown, chosen in each dimension ---------------------------------------
  const variants = (box) => {
    const shown = all(":scope > .variant", box);
    const dimensions = box.dataset.dimensions.split(";").map((part) => part.split(":"));
    const value = (variant, name) => variant.dataset[name];
    const now = {};
    for (const [name] of dimensions) now[name] = value(shown[0], name);
    const groupOf = {};
    const show = (changed) => {
      const fit = (variant) => dimensions.filter(([name]) => value(variant, name) === now[name]).length;
      const allowed = changed ? shown.filter((variant) => value(variant, changed) === now[changed]) : shown;
      const best = allowed.reduce((a, b) => (fit(b) > fit(a) ? b : a));
      for (const variant of shown) variant.hidden = variant !== best;
      for (const [name] of dimensions) {
        now[name] = value(best, name);
        if (groupOf[name]) for (const input of all("input", groupOf[name])) input.checked = input.value === now[name];
      }
      hideTip();
    };
    const controls = make("div", { className: "controls" });
    for (const [name, legend] of dimensions) {
      const values = [...new Set(shown.map((variant) => value(variant, name)))];
      if (values.length > 1) {
        groupOf[name] = choices(legend, values.map((each) => [each, each]), now[name], (chosen) => {
          now[name] = chosen;
          show(name);
        });
        controls.append(groupOf[name]);
      }
    }
    if (controls.children.length) box.prepend(controls);
    show();
  };

  // --- systems: a legend becomes a list of boxes that can be ticked ---------------------------------------
  const systems = (keys) => {
    const scope = document.getElementById(keys.dataset.scope).closest("section");
    const set = (id, on) => {
      for (const each of all(`[data-series="${CSS.escape(id)}"]`, scope)) each.classList.toggle("off", !on);
    };
    const inputs = all(".key", keys).map((key) => {
      const input = make("input", { type: "checkbox", checked: true, value: key.dataset.for });
      input.addEventListener("change", () => set(input.value, input.checked));
      const label = make("label", {}, input);
      label.append(...key.childNodes);
      key.append(label);
      return input;
    });
    const every = (on, among = inputs) => {
      for (const input of among) {
        input.checked = on;
        set(input.value, on);
      }
    };
    const button = (text, action) => {
      const found = make("button", { type: "button", textContent: text });
      found.addEventListener("click", action);
      return found;
    };
    keys.prepend(make("div", { className: "tools" }, button("All", () => every(true)), button("None", () => every(false))));
    for (const list of all("ul", keys)) {
      const head = list.querySelector(".head");
      const mine = all("input", list);
      const only = button(head.textContent, () => {
        every(false);
        every(true, mine);
      });
      only.title = `Show ${head.textContent} only`;
      head.replaceChildren(only);
    }
  };

  // --- values: with the pointer, and with the keys ---------------------------------------------------------
  const tip = document.getElementById("tip");
  let here = null;
  const hideTip = () => {
    tip.hidden = true;
    if (here) here.classList.remove("here");
    for (const each of all(".hot, .faded")) each.classList.remove("hot", "faded");
    here = null;
  };
  const showTip = (spot) => {
    if (spot === here) return;
    hideTip();
    here = spot;
    tip.textContent = spot.dataset.says;
    tip.hidden = false;
    spot.classList.add("here");
    const series = spot.closest(".series");
    if (series) {
      for (const each of all(".series", series.ownerSVGElement)) each.classList.add(each === series ? "hot" : "faded");
    }
    const box = spot.getBoundingClientRect();
    const left = Math.min(Math.max(4, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 4);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
  };
  const visible = (spot) => !spot.closest(".off");
  const chart = (svg) => {
    const title = svg.querySelector(":scope > title");
    if (title) {  // the browser would show it wherever the pointer is
      svg.setAttribute("aria-label", title.textContent);
      svg.setAttribute("aria-describedby", svg.querySelector(":scope > desc").id);
      svg.removeAttribute("aria-labelledby");
      title.remove();
    }
    const spots = all("title", svg).map((each) => {
      const spot = each.parentNode;
      spot.dataset.says = each.textContent;
      each.remove();
      return spot;
    });
    if (!spots.length) return;
    const center = (spot) => {
      const box = spot.getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2];
    };
    svg.addEventListener("pointermove", (event) => {
      const direct = event.target.closest("[data-says]");
      if (direct && !direct.classList.contains("region") && !direct.classList.contains("core")) return showTip(direct);
      const near = spots.filter((spot) => visible(spot) && spot.matches("path.spot, g")).map((spot) => {
        const [x, y] = center(spot);
        return [Math.hypot(x - event.clientX, y - event.clientY), spot];
      }).filter(([distance]) => distance < 24).sort((a, b) => a[0] - b[0])[0];
      if (near) showTip(near[1]);
      else if (direct) showTip(direct);
      else hideTip();
    });
    svg.addEventListener("pointerleave", hideTip);
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("blur", hideTip);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 0, ArrowUp: 0 }[event.key];
      if (event.key === "Escape") return hideTip();
      if (step === undefined) return;
      event.preventDefault();
      const live = spots.filter(visible);
      if (!live.length) return;
      const parents = [...new Set(live.map((spot) => spot.parentNode))];
      if (!here || !live.includes(here)) return showTip(live[0]);
      if (step) return showTip(live[(live.indexOf(here) + step + live.length) % live.length]);
      const row = live.filter((spot) => spot.parentNode === here.parentNode);
      const other = parents[(parents.indexOf(here.parentNode) + (event.key === "ArrowDown" ? 1 : -1) + parents.length) % parents.length];
      const next = live.filter((spot) => spot.parentNode === other);
      showTip(next[Math.min(row.indexOf(here), next.length - 1)]);
    });
  };

  // --- tables ----------------------------------------------------------------------------------------------
  const key = (cell) => {
    const text = cell ? (cell.dataset.v ?? cell.textContent).trim() : "";
    const number = parseFloat(text.replaceAll(",", "").replace("\u2212", "-"));
    return [text === "" || text === "?" ? 1 : 0, Number.isNaN(number) ? text.toLowerCase() : number];
  };
  const compare = (a, b) => {
    if (a[0] !== b[0]) return a[0] - b[0];
    if (typeof a[1] === "number" && typeof b[1] === "number") return a[1] - b[1];
    return String(a[1]).localeCompare(String(b[1]), "en", { numeric: true });
  };
  const sortable = (table) => {
    const heads = all("thead th", table);
    const body = table.tBodies[0];
    heads.forEach((head, at) => {
      if (head.querySelector("a, .cmp")) return;
      const button = make("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") === "ascending" ||
          (head.getAttribute("aria-sort") === null && head.classList.contains("num"));
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [key(row.cells[at]), row]);
        rows.sort(([a], [b]) => (a[0] || b[0] ? compare(a, b) : compare(a, b) * (up ? -1 : 1)));
        body.append(...rows.map(([, row]) => row));
      });
    });
  };

  // --- statements, colours, data ---------------------------------------------------------------------------
  const filter = (box) => {
    const list = document.getElementById(box.dataset.filter);
    const options = box.dataset.options.split(";").map((part) => part.split(":"));
    const count = make("span", { role: "status" });
    const show = (value) => {
      const items = all("[data-verdicts]", list);
      for (const each of items) each.hidden = value !== "all" && !each.dataset.verdicts.split(" ").includes(value);
      count.textContent = `${items.filter((each) => !each.hidden).length} of ${items.length}`;
    };
    box.append(choices("Show", options, "all", show), count);
    show("all");
  };
  const theme = () => {
    const choose = (value) => {
      if (value === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = value;
      try {
        localStorage.setItem("lockscape-theme", value);
      } catch { /* a page from a file may not be allowed to keep anything */ }
    };
    let kept = "auto";
    try {
      kept = localStorage.getItem("lockscape-theme") || "auto";
    } catch { /* the same */ }
    if (!["auto", "light", "dark"].includes(kept)) kept = "auto";
    choose(kept);
    return choices("Colours", [["auto", "as the system"], ["light", "light"], ["dark", "dark"]], kept, choose);
  };
  const save = () => {
    const button = make("button", { type: "button", textContent: "Save the figures as CSV" });
    button.addEventListener("click", () => {
      const { csv } = JSON.parse(document.getElementById("data").textContent);
      const link = make("a", { href: URL.createObjectURL(new Blob([csv], { type: "text/csv" })), download: "lockscape-study.csv" });
      link.click();
      URL.revokeObjectURL(link.href);
    });
    return button;
  };

  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
  };

  document.documentElement.classList.add("js");
  const tools = document.getElementById("tools");
  tools.append(theme(), save());
  tools.hidden = false;
  all(".variants").forEach(variants);
  all(".keys").forEach(systems);
  all("svg[role=img]").forEach(chart);
  all("table.sortable").forEach(sortable);
  all(".filters").forEach(filter);
  addEventListener("hashchange", openTarget);
  openTarget();
})();
