"use strict";
(function () {
  var data = JSON.parse(document.getElementById("data").textContent);
  var one = function (selector, within) { return (within || document).querySelector(selector); };
  var all = function (selector, within) { return Array.prototype.slice.call((within || document).querySelectorAll(selector)); };
  var make = function (tag, attributes, children) {
    var element = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) { element.setAttribute(name, attributes[name]); });
    (children || []).forEach(function (child) { element.append(child); });
    return element;
  };
  var number = function (value) { return value.toLocaleString("en"); };
  var share = function (value) { return (100 * value).toFixed(1) + " %"; };

  // Light and dark: as the system has it, until somebody chooses.
  var root = document.documentElement, theme = one("#theme"), system = matchMedia("(prefers-color-scheme: dark)");
  var remembered = null;
  try { remembered = localStorage.getItem("longtail-theme"); } catch (error) { remembered = null; }
  var isDark = function () { return root.dataset.theme ? root.dataset.theme === "dark" : system.matches; };
  var label = function () {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", "Switch to " + (isDark() ? "light" : "dark") + " colours");
  };
  if (remembered === "dark" || remembered === "light") root.dataset.theme = remembered;
  theme.hidden = false;
  theme.addEventListener("click", function () {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("longtail-theme", root.dataset.theme); } catch (error) { /* then it is forgotten */ }
    label();
  });
  system.addEventListener("change", label);
  label();
  addEventListener("beforeprint", function () { all("details").forEach(function (each) { each.open = true; }); });

  // What is shown of a point. Text only, so that no name can be more than text.
  var tip = one("#tip");
  var show = function (plot, x, y, text, picture) {
    var box = plot.getBoundingClientRect();
    tip.textContent = text;
    if (picture) tip.prepend(make("img", { src: "data:image/webp;base64," + picture, alt: "" }));
    tip.hidden = false;
    var wide = document.documentElement.clientWidth, left = box.left + x * box.width, top = box.top + y * box.height;
    var beside = left + 14 + tip.offsetWidth > wide - 8 ? left - tip.offsetWidth - 14 : left + 14;
    // The body is what the box is placed in.
    var frame = document.body.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(beside, wide - tip.offsetWidth - 8)) - frame.left + "px";
    tip.style.top = Math.max(top - tip.offsetHeight - 10, 8) - frame.top + "px";
  };
  var hide = function () { tip.hidden = true; all(".cursor").forEach(function (each) { each.style.display = "none"; }); };

  // Charts: a list of points in units of 1000, what is said of each, and in which order keys go through them.
  var classes = data.classes, several = data.runs.length > 1;
  var groupOf = function (run, c) { return data.groups[run.group[c]]; };
  var recall = function (run, c) {
    if (!run.test[c]) return "no image to measure it on";
    return "recall " + number(run.correct[c]) + " of " + number(run.test[c]) + " = " + share(run.correct[c] / run.test[c]) +
      " (" + (100 * run.low[c]).toFixed(0) + " to " + (100 * run.high[c]).toFixed(0) + ")";
  };
  var describe = function (c) {
    var lines = [classes.name[c]], first = classes.runs[0];
    if (!several) lines.push(number(first.train[c]) + " training image" + (first.train[c] === 1 ? "" : "s") + ", " + groupOf(first, c));
    classes.runs.forEach(function (run, n) {
      lines.push((several ? data.runs[n] + ": " + number(run.train[c]) + " to train, " : "") + recall(run, c));
    });
    if (!several && first.taken[c] !== null) lines.push("most often predicted as " + classes.name[first.taken[c]] + " (" + number(first.times[c]) + ")");
    return lines.join("\n");
  };
  var kinds = {
    stops: function (plot) {
      var stops = data.stops[plot.dataset.key];
      return {
        count: stops.length, order: null, across: true,
        at: function (i) { return [stops[i][0], null]; },
        say: function (i) { return stops[i][1]; },
      };
    },
    classes: function () {
      var points = [], order;
      data.points.x.forEach(function (xs, run) {
        xs.forEach(function (x, c) { if (data.points.y[run][c] !== null) points.push([x, 1000 - data.points.y[run][c], c, run]); });
      });
      order = points.map(function (_, i) { return i; }).filter(function (i) { return points[i][3] === 0; });
      order.sort(function (a, b) { return points[b][0] - points[a][0] || points[a][1] - points[b][1]; });
      return {
        count: points.length, order: order, across: false,
        at: function (i) { return points[i]; },
        say: function (i) {
          var same = points.filter(function (p) { return p[3] === points[i][3] && Math.abs(p[0] - points[i][0]) < 3 && Math.abs(p[1] - points[i][1]) < 6 && p !== points[i]; });
          var more = same.length ? "\nhere too: " + same.slice(0, 4).map(function (p) { return classes.name[p[2]]; }).join(", ") + (same.length > 4 ? " and " + number(same.length - 4) + " more" : "") : "";
          return describe(points[i][2]) + more;
        },
      };
    },
    map: function (plot) {
      var map = data.maps[plot.dataset.key], images = data.images[map.run];
      return {
        count: map.x.length, order: null, across: false,
        at: function (i) { return [map.x[i], map.y[i]]; },
        say: function (i) {
          var right = images.true[i] === images.taken[i];
          return classes.name[images.true[i]] + "\n" + groupOf(classes.runs[map.run], images.true[i]) + ", " +
            (right ? "recognised" : "taken for " + classes.name[images.taken[i]]) + " (" + images.sure[i] + " %)";
        },
        picture: function (i) { return images.picture[i]; },
        skip: function (i) { var only = one("#only").value; return only !== "" && images.true[i] !== Number(only); },
      };
    },
  };
  all("[data-chart]").forEach(function (plot) {
    var chart = null, now = 0, cursor = make("div", { class: "cursor" });
    var ready = function () {  // only when somebody looks: a page of many classes opens at once
      if (chart) return chart;
      chart = kinds[plot.dataset.chart](plot);
      cursor.classList.add(chart.across ? "line" : "ring");
      plot.append(cursor);
      return chart;
    };
    var go = function (i, place) {
      var at = chart.at(i), text = chart.say(i);
      now = place;
      cursor.style.display = "block";
      cursor.style.left = at[0] / 10 + "%";
      if (!chart.across) cursor.style.top = at[1] / 10 + "%";
      plot.setAttribute("aria-valuenow", place);
      plot.setAttribute("aria-valuetext", text.replace(/\n/g, ", "));
      show(plot, at[0] / 1000, at[1] === null ? 0.3 : at[1] / 1000, text, chart.picture ? chart.picture(i) : null);
    };
    plot.addEventListener("pointermove", function (event) {
      ready();
      var box = plot.getBoundingClientRect(), best = -1, least = Infinity;
      var x = event.clientX - box.left, y = event.clientY - box.top;
      for (var i = 0; i < chart.count; i++) {
        if (chart.skip && chart.skip(i)) continue;
        var at = chart.at(i), dx = at[0] / 1000 * box.width - x, dy = chart.across ? 0 : at[1] / 1000 * box.height - y;
        if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = i; }
      }
      if (best >= 0 && (chart.across || least < 2500)) go(best, chart.order ? Math.max(0, chart.order.indexOf(best)) : best);
      else hide();
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", function (event) {
      if (event.key === "Escape") { hide(); return; }
      var length = ready().order ? chart.order.length : chart.count;
      var steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -length, End: length };
      if (!(event.key in steps) || !length) return;
      event.preventDefault();
      var shown = cursor.style.display === "block", step = steps[event.key], next = now;
      do { next = Math.min(length - 1, Math.max(0, next + (shown || Math.abs(step) > 1 ? step : 0))); shown = true; }
      while (chart.skip && chart.skip(chart.order ? chart.order[next] : next) && next > 0 && next < length - 1);
      go(chart.order ? chart.order[next] : next, next);
    });
  });
  addEventListener("keydown", function (event) { if (event.key === "Escape") hide(); });

  // The table of classes: rows are made when they are shown.
  var rows = 25, start = 0, sorted = { column: 0, up: true }, query = "";
  var rate = function (run, c) { return run.test[c] ? run.correct[c] / run.test[c] : null; };
  var precision = function (run, c) { return run.predicted[c] ? run.correct[c] / run.predicted[c] : null; };
  var columns = [{ title: "class", value: function (c) { return classes.name[c]; }, text: function (c) { return classes.name[c]; } }];
  var column = function (title, value, text, kind) { columns.push({ title: title, value: value, text: text, kind: kind }); };
  var first = classes.runs[0];
  var plain = function (value) { return value === null ? "–" : number(value); };
  column("group", function (c) { return first.group[c]; }, function (c) { return [make("span", { class: "swatch " + groupOf(first, c) }), groupOf(first, c)]; }, "group");
  column("training images", function (c) { return first.train[c]; }, function (c) { return number(first.train[c]); });
  if (!several) {
    column("recall", function (c) { return rate(first, c); }, function (c) { var r = rate(first, c); return r === null ? "–" : share(r); });
    column("recognised", function (c) { return first.correct[c]; }, function (c) { return number(first.correct[c]) + " of " + number(first.test[c]); });
    column("95 % interval", function (c) { return first.low[c]; }, function (c) { return first.low[c] === null ? "–" : range(first, c); }, "range");
    column("precision", function (c) { return precision(first, c); }, function (c) { var p = precision(first, c); return p === null ? "–" : share(p); });
    column("most often predicted as", function (c) { return first.times[c]; }, function (c) { return first.taken[c] === null ? "–" : classes.name[first.taken[c]] + " (" + number(first.times[c]) + ")"; }, "words");
  } else {
    classes.runs.forEach(function (run, n) {
      column("recall, " + data.runs[n], function (c) { return rate(run, c); }, function (c) { var r = rate(run, c); return r === null ? "–" : share(r); });
      if (n) column("difference", function (c) { var a = rate(first, c), b = rate(run, c); return a === null || b === null ? null : b - a; }, function (c) {
        var a = rate(first, c), b = rate(run, c), d = a === null || b === null ? null : 100 * (b - a);
        return d === null ? "–" : (d > 0 ? "+" : d < 0 ? "−" : "") + Math.abs(d).toFixed(1);
      });
    });
    column("test images", function (c) { return first.test[c]; }, function (c) { return plain(first.test[c]); });
  }
  function range(run, c) {
    var space = one("svg").namespaceURI;
    var svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 100 10");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", (100 * run.low[c]).toFixed(0) + " to " + (100 * run.high[c]).toFixed(0) + " %");
    svg.setAttribute("class", groupOf(run, c));
    [["bar", "M" + 100 * run.low[c] + " 5H" + 100 * run.high[c]], ["dot", "M" + 100 * rate(run, c) + " 0V10"]].forEach(function (part) {
      var path = document.createElementNS(space, "path");
      path.setAttribute("class", part[0]);
      path.setAttribute("d", part[1]);
      svg.append(path);
    });
    return svg;
  }
  var head = make("tr", {}), body = one("#classes-table tbody");
  one("#classes-table thead").append(head);
  columns.forEach(function (each, place) {
    var button = make("button", { type: "button" }, [each.title]);
    button.addEventListener("click", function () {
      sorted = { column: place, up: sorted.column === place ? !sorted.up : place < 2 || /recall|interval|precision/.test(each.title) };
      start = 0;
      fill();
    });
    head.append(make("th", { scope: "col", class: { words: "start", group: "start group" }[each.kind] || "end" }, [button]));
  });
  var collator = new Intl.Collator("en", { numeric: true });
  function fill() {
    var value = columns[sorted.column].value, sign = sorted.up ? 1 : -1, wanted = query.toLowerCase();
    var keys = classes.name.map(function (_, c) { return value(c); });
    var order = keys.map(function (_, c) { return c; }).filter(function (c) { return !wanted || classes.name[c].toLowerCase().indexOf(wanted) >= 0; });
    order.sort(function (a, b) {
      var x = keys[a], y = keys[b];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;  // what is not known comes last
      return sign * (typeof x === "string" ? collator.compare(x, y) : x - y) || first.train[b] - first.train[a] || a - b;
    });
    var shown = order.slice(start, start + rows);
    body.replaceChildren.apply(body, shown.map(function (c) {
      return make("tr", {}, columns.map(function (each, place) {
        var content = each.text(c), cell = place ? make("td", each.kind ? { class: each.kind } : {}) : make("th", { scope: "row" });
        cell.append.apply(cell, Array.isArray(content) ? content : [content]);
        return cell;
      }));
    }));
    all("th", head).forEach(function (th, place) {
      if (place === sorted.column) th.setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
      else th.removeAttribute("aria-sort");
    });
    one("#found").textContent = order.length > rows ? number(start + 1) + " to " + number(start + shown.length) + " of " + number(order.length) : number(order.length) + (order.length === 1 ? " class" : " classes");
    one("#before").hidden = one("#after").hidden = order.length <= rows;
    one("#before").disabled = start === 0;
    one("#after").disabled = start + rows >= order.length;
  }
  one("#before").addEventListener("click", function () { start -= rows; fill(); });
  one("#after").addEventListener("click", function () { start += rows; fill(); });
  one("#find").addEventListener("input", function (event) { query = event.target.value.trim(); start = 0; fill(); });
  sorted.column = columns.findIndex(function (each) { return /^recall/.test(each.title); });
  fill();

  // The maps.
  if (one("#map-tools")) {
    var only = one("#only"), maps = all(".maps"), colour = one("#colour");
    // Names are filled in when somebody wants to choose: there may be thousands.
    var offer = function () {
      if (only.length > 1) return;
      var numbers = {};
      data.images.forEach(function (images) { if (images) images.true.forEach(function (c) { numbers[c] = true; }); });
      var names = Object.keys(numbers).map(function (c) { return [classes.name[c], c]; });
      names.sort(function (a, b) { return collator.compare(a[0], b[0]); });
      only.append.apply(only, names.map(function (each) { return make("option", { value: each[1] }, [each[0]]); }));
    };
    only.addEventListener("focus", offer);
    only.addEventListener("pointerdown", offer);
    only.addEventListener("change", function () {
      maps.forEach(function (each) { each.classList.toggle("faded", only.value !== ""); });
      all("[data-chart=map]").forEach(function (plot) {
        var map = data.maps[plot.dataset.key], images = data.images[map.run], path = "";
        images.true.forEach(function (c, i) { if (only.value !== "" && c === Number(only.value)) path += "M" + map.x[i] + " " + map.y[i] + "h0"; });
        one(".chosen", plot).setAttribute("d", path);
      });
    });
    if (colour) colour.addEventListener("change", function () {
      maps.forEach(function (each) { each.classList.toggle("by-class", colour.value === "class"); });
    });
    one("#missed").addEventListener("change", function (event) {
      maps.forEach(function (each) { each.classList.toggle("missed", event.target.checked); });
    });
  }
})();
