/* Draws the candles of the page with lightweight-charts; times are UTC. */
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const L = window.LightweightCharts;
  const host = document.getElementById("chart");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const reasonColour = (reason) => data.colours[reason][dark.matches ? 1 : 0];
  const words = (reason) => reason.replace("_", " ");

  const count = data.open.length;
  const times = new Array(count);
  times[0] = data.first;
  for (let i = 1; i < count; i++) times[i] = times[i - 1] + data.steps[i - 1];
  const [gapStart, gapEnd, gapMissing, gapReason] = data.gaps;

  /* The places on the axis. An absent candle has a place too, so that the width of a gap shows its length; a longer gap
     than this gets only this many places. */
  const MOST_ABSENT = 2000;
  const points = [], candleAt = [];
  for (let i = 0; i < count; i++) {
    points.push(times[i]);
    candleAt.push(i);
    if (data.width === null || i + 1 === count) continue;
    const absent = Math.round((times[i + 1] - times[i]) / data.width) - 1;
    for (let n = 1; n <= Math.min(absent, MOST_ABSENT); n++) { points.push(times[i] + n * data.width); candleAt.push(-1); }
  }
  const lacking = new Map(data.incomplete[0].map((index, n) => [index, [data.incomplete[1][n], data.incomplete[2][n]]]));

  const chart = L.createChart(host, {
    autoSize: true,
    localization: { locale: "en-GB" },
    timeScale: { timeVisible: data.width === null || data.width < 86400, secondsVisible: false, minBarSpacing: 0.02 },
    crosshair: { mode: L.CrosshairMode.Normal },
  });
  const price = chart.addSeries(L.CandlestickSeries, {
    priceFormat: { type: "price", precision: data.decimals, minMove: 10 ** -data.decimals },
    borderVisible: false,
  });
  const volume = chart.addSeries(L.HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false }, 1);
  const panes = chart.panes();
  panes[0].setStretchFactor(4);
  panes[1].setStretchFactor(1);

  /* Bands behind the candles, one per gap; each is wide enough to see. */
  class Bands {
    constructor() { this._view = { zOrder: () => "bottom", renderer: () => ({ draw: (target) => this._draw(target) }) }; }
    attached({ chart: drawn }) { this._chart = drawn; }
    paneViews() { return [this._view]; }
    _x(time) {
      // The last place at or before the time, and the share of its width that has passed.
      let low = 0, high = points.length;
      while (low < high) { const middle = (low + high) >> 1; if (points[middle] <= time) low = middle + 1; else high = middle; }
      const index = Math.max(low - 1, 0);
      const width = data.width || (index + 1 < points.length ? points[index + 1] - points[index] : 2592000);
      const part = low === 0 ? 0 : Math.min(1, (time - points[index]) / width);
      const scale = this._chart.timeScale();
      return scale.logicalToCoordinate(index) + (part - 0.5) * scale.options().barSpacing;
    }
    _draw(target) {
      const range = this._chart.timeScale().getVisibleLogicalRange();
      if (!range || !gapStart.length) return;
      const place = (logical) => Math.max(0, Math.min(points.length - 1, logical));
      const from = points[place(Math.floor(range.from) - 1)];
      const to = points[place(Math.ceil(range.to) + 1)] + (data.width || 2678400);
      target.useBitmapCoordinateSpace((scope) => {
        const draw = scope.context;
        for (let i = 0; i < gapStart.length; i++) {
          if (gapEnd[i] < from || gapStart[i] > to) continue;
          const left = this._x(gapStart[i]) * scope.horizontalPixelRatio;
          const right = this._x(gapEnd[i]) * scope.horizontalPixelRatio;
          draw.fillStyle = reasonColour(gapReason[i]);
          draw.globalAlpha = 0.3;
          draw.fillRect(left, 0, Math.max(right - left, 1.5 * scope.horizontalPixelRatio), scope.bitmapSize.height);
        }
        draw.globalAlpha = 1;
      });
    }
  }
  price.attachPrimitive(new Bands());
  const marks = L.createSeriesMarkers(price, []);

  function paint() {
    const up = css("--up"), down = css("--down"), line = css("--line"), mark = css("--mark");
    chart.applyOptions({
      layout: { background: { color: css("--back") }, textColor: css("--faint"), attributionLogo: true,
                panes: { separatorColor: line } },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
    });
    chart.timeScale().applyOptions({ borderColor: line });
    price.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    const bars = new Array(points.length), amounts = new Array(points.length);
    for (let i = 0; i < points.length; i++) {
      const time = points[i], at = candleAt[i];
      if (at < 0) { bars[i] = amounts[i] = { time }; continue; }
      const open = data.open[at], close = data.close[at];
      bars[i] = { time, open, high: data.high[at], low: data.low[at], close };
      amounts[i] = { time, value: data.volume[at], color: (close >= open ? up : down) + "99" };
    }
    price.setData(bars);
    volume.setData(amounts);
    marks.setMarkers([...lacking.keys()].map((index) => ({
      time: times[index], position: "belowBar", shape: "arrowUp", color: mark, size: 0.8,
    })));
    legend();
  }

  /* Shows the values of the candle under the pointer, or of the last one if the pointer is elsewhere. */
  const values = document.createElement("div");
  values.id = "values";
  values.setAttribute("aria-live", "off");
  host.append(values);
  const number = (value, decimals) => value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const stamp = (time) => new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ");
  const grouped = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 8 });
  function tell(place) {
    const at = candleAt[place], time = points[place];
    const parts = [["", stamp(time) + " UTC"]];
    if (at >= 0) {
      const open = data.open[at], close = data.close[at], change = 100 * (close / open - 1);
      for (const [name, key] of [["O", "open"], ["H", "high"], ["L", "low"], ["C", "close"]]) parts.push([name, number(data[key][at], data.decimals)]);
      parts.push(["", (change < 0 ? "" : "+") + change.toFixed(2) + " %", close >= open ? "up" : "down"]);
      parts.push(["V", grouped(data.volume[at])]);
      if (lacking.has(at)) parts.push(["", "incomplete: " + lacking.get(at).map(grouped).join(" of ") + " minutes", "mark"]);
    }
    const until = place + 1 < points.length ? points[place + 1] : time + (data.width || 2678400);
    for (let i = 0; i < gapStart.length; i++) {
      if (gapStart[i] < until && gapEnd[i] > time) {
        parts.push(["", `gap, ${words(gapReason[i])}: ${grouped(gapMissing[i])} minutes from ${stamp(gapStart[i])}`, "mark"]);
        break;
      }
    }
    values.replaceChildren(...parts.map(([name, text, kind]) => {
      const span = document.createElement("span");
      if (kind) span.className = kind;
      if (name) { const bold = document.createElement("b"); bold.textContent = name + " "; span.append(bold); }
      span.append(text);
      return span;
    }));
  }
  chart.subscribeCrosshairMove((event) => {
    const end = points.length - 1;
    tell(event.logical === undefined || event.logical === null ? end : Math.max(0, Math.min(end, Math.round(event.logical))));
  });

  function legend() {
    const entries = [...new Set(gapReason)].map((reason) => [reasonColour(reason) + "80", "gap: " + words(reason)]);
    if (lacking.size) entries.push([css("--mark"), "incomplete candle"]);
    document.getElementById("legend").replaceChildren(...entries.map(([colour, text]) => {
      const item = document.createElement("li"), box = document.createElement("i");
      box.style.background = colour;
      item.append(box, text);
      return item;
    }));
  }

  /* Buttons for the last day, week, month, year, and all. */
  const nav = document.querySelector("nav");
  const last = times[count - 1];
  for (const [label, seconds] of [["1D", 86400], ["1W", 604800], ["1M", 2678400], ["1Y", 31622400], ["All", Infinity]]) {
    if (seconds !== Infinity && (seconds >= last - times[0] || (data.width || 2678400) * 5 > seconds)) continue;
    const button = document.createElement("button");
    button.textContent = label;
    button.addEventListener("click", () => {
      if (seconds === Infinity) chart.timeScale().fitContent();
      else chart.timeScale().setVisibleRange({ from: Math.max(times[0], last - seconds), to: last });
    });
    nav.append(button);
  }
  const log = document.createElement("button");
  log.textContent = "log";
  log.setAttribute("aria-pressed", "false");
  log.addEventListener("click", () => {
    const on = log.getAttribute("aria-pressed") !== "true";
    log.setAttribute("aria-pressed", String(on));
    price.priceScale().applyOptions({ mode: on ? L.PriceScaleMode.Logarithmic : L.PriceScaleMode.Normal });
  });
  nav.append(log);

  paint();
  dark.addEventListener("change", paint);
  chart.timeScale().fitContent();
  tell(points.length - 1);
  window.threadxChart = { chart, price, volume };
  requestAnimationFrame(() => requestAnimationFrame(() => { document.documentElement.dataset.drawn = String(count); }));
})();
