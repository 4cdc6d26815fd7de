/* Draws one row per symbol and one cell per month, filled by the share of minutes that are stored. Draws a row when it
   comes in sight. */
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const host = document.getElementById("map");
  const told = document.getElementById("told");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const reasons = Object.keys(data.reasons);
  const colour = (kind) => (kind === "present" ? css("--present") : data.colours[kind][dark.matches ? 1 : 0]);
  const words = (kind) => kind.replace("_", " ");
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const number = (value) => value.toLocaleString("en-US");
  const minutesOf = (month) => new Date(Date.UTC(Math.floor(month / 12), (month % 12) + 1, 0)).getUTCDate() * 1440;

  const firstMonth = data.month.reduce((a, b) => Math.min(a, b)), lastMonth = data.month.reduce((a, b) => Math.max(a, b));
  const columns = lastMonth - firstMonth + 1;
  const rows = data.symbols.map((symbol, place) => ({ symbol, at: new Map(), complete: data.complete[place] }));
  data.symbol.forEach((place, i) => rows[place].at.set(data.month[i], i));

  const names = Math.min(innerWidth * 0.52, Math.max(150, ...rows.map((row) => 104 + 8.6 * row.symbol.length)));
  document.documentElement.style.setProperty("--names", names + "px");
  const cell = Math.max(17, Math.min(72, Math.floor((innerWidth - names - 30) / columns)));
  const HEIGHT = 20;

  const list = document.createElement("div");
  list.className = "rows";
  const head = document.createElement("div");
  head.className = "head";
  const corner = document.createElement("div");
  corner.className = "name";
  corner.append("symbol", Object.assign(document.createElement("em"), { textContent: "complete" }));
  head.append(corner);
  for (let month = firstMonth; month <= lastMonth; month++) {
    const left = names + (month - firstMonth) * cell;
    if (month === firstMonth || month % 12 === 0) {
      const year = Object.assign(document.createElement("span"), { className: "year", textContent: String(Math.floor(month / 12)) });
      // The first year has no room for its label if the next year begins within a few cells.
      if (month === firstMonth && month % 12 !== 0 && (12 - (month % 12)) * cell < 34) year.textContent = "";
      year.style.left = left + "px";
      head.append(year);
    }
    const label = Object.assign(document.createElement("span"), { textContent: cell >= 28 ? MONTHS[month % 12] : String((month % 12) + 1) });
    label.style.left = left + "px";
    label.style.width = cell + "px";
    head.append(label);
  }
  head.style.width = names + columns * cell + "px";
  list.append(head);

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { root: host, rootMargin: "200px" });
  const lines = rows.map((row) => {
    const line = document.createElement("div"), name = document.createElement("div"), canvas = document.createElement("canvas");
    line.className = "row";
    name.className = "name";
    name.append(row.symbol, Object.assign(document.createElement("em"), { textContent: row.complete }));
    canvas.style.width = columns * cell + "px";
    canvas.row = row;
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointerleave", () => { told.hidden = true; });
    line.append(name, canvas);
    list.append(line);
    return line;
  });
  host.append(list);

  function draw(canvas) {
    const ratio = devicePixelRatio || 1, row = canvas.row, pen = canvas.getContext("2d");
    canvas.width = columns * cell * ratio;
    canvas.height = HEIGHT * ratio;
    pen.scale(ratio, ratio);
    const months = [...row.at.keys()], first = Math.min(...months), room = cell - 2;
    const wholePixels = (length) => Math.round(length * ratio) / ratio;
    for (const [month, i] of row.at) {
      const whole = minutesOf(month), left = (month - firstMonth) * cell + 1;
      pen.fillStyle = css("--empty");
      pen.fillRect(left, 0, room, HEIGHT);
      // The first month of a symbol is filled from its end, because its candles are there.
      const filled = Math.max(1 / ratio, wholePixels(room * data.expected[i] / whole));
      let x = left + (month === first && first !== Math.max(...months) ? room - filled : 0);
      const start = x;
      pen.fillStyle = colour("present");
      pen.fillRect(x, 0, filled, HEIGHT);
      x += filled;
      // Missing minutes stand at the right; each reason is at least one pixel wide.
      for (const reason of [...reasons].reverse()) {
        const minutes = data.reasons[reason][i];
        if (!minutes) continue;
        const width = Math.max(1 / ratio, wholePixels(room * minutes / whole));
        x = Math.max(start, x - width);
        pen.fillStyle = colour(reason);
        pen.fillRect(x, 0, width, HEIGHT);
      }
    }
    canvas.drawn = true;
  }

  function point(event) {
    const row = event.target.row, month = firstMonth + Math.floor(event.offsetX / cell), i = row.at.get(month);
    if (i === undefined) { told.hidden = true; return; }
    const said = [
      `${row.symbol}  ${MONTHS[month % 12]} ${Math.floor(month / 12)}`,
      `${number(data.candles[i])} of ${number(data.expected[i])} minutes, ${data.shares[data.share[i]]}`,
    ];
    for (const reason of reasons) if (data.reasons[reason][i]) said.push(`${words(reason)}: ${number(data.reasons[reason][i])}`);
    told.textContent = said.join("\n");
    told.hidden = false;
    const box = told.getBoundingClientRect();
    told.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 6)) + "px";
    told.style.top = (event.clientY + 20 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18) + "px";
  }

  const filter = document.getElementById("filter"), shown = document.getElementById("shown");
  function choose() {
    const wanted = filter.value.trim().toUpperCase();
    let count = 0;
    lines.forEach((line, i) => { const fits = rows[i].symbol.toUpperCase().includes(wanted); line.hidden = !fits; line.style.display = fits ? "" : "none"; count += fits; });
    shown.textContent = wanted ? `${number(count)} of ${number(rows.length)}` : "";
  }
  filter.addEventListener("input", choose);
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());

  function paint() {
    document.getElementById("legend").replaceChildren(...["present", ...reasons].map((kind) => {
      const item = document.createElement("li"), box = document.createElement("i");
      box.style.background = colour(kind);
      item.append(box, words(kind));
      return item;
    }));
    for (const canvas of list.querySelectorAll("canvas")) if (canvas.drawn) draw(canvas);
  }
  paint();
  dark.addEventListener("change", paint);
  for (const canvas of list.querySelectorAll("canvas")) seen.observe(canvas);
  host.scrollLeft = host.scrollWidth;
  requestAnimationFrame(() => requestAnimationFrame(() => { document.documentElement.dataset.drawn = String(rows.length); }));
})();
