// A gallery: one picture with the boxes of a detector, scored as the reader asks, and a table of them beside it.
const OVERLAP = 0.5; // IoU with an object from which on a box may be right

function made(tag, settings = {}, ...children) {
  const element = Object.assign(document.createElement(tag), settings);
  element.append(...children);
  return element;
}

function overlap(one, other) {
  const wide = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const high = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  if (wide <= 0 || high <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (wide * high) / (area(one) + area(other) - wide * high);
}

// Whether each row, best first, is the likeliest on an object, of its class if it has one; an object is found once.
function judged(rows, objects) {
  const left = new Set(objects);
  return rows.map(({ box, label }) => {
    const same = [...left].filter((object) => label === undefined || object[4] === label);
    const best = same.reduce((a, b) => (overlap(box, b) > overlap(box, a) ? b : a), same[0]);
    return best !== undefined && overlap(box, best) >= OVERLAP && left.delete(best);
  });
}

// What is shown above a threshold, best first: of proposals P(O) is the score.
function scored(detector, kind, powers, threshold) {
  const rows = detector[kind].map((row) => {
    if (kind === "proposals") return { box: row, score: row[4], object: row[4] };
    const [label, object, given] = row.slice(4);
    return { box: row, label, object, given, score: given ** powers[0] * object ** powers[1] };
  });
  return rows.filter((row) => row.score >= threshold).sort((a, b) => b.score - a.score);
}

function slider(name, value, most, step) {
  const field = made("input", { type: "range", min: 0, max: most, step, value });
  const told = made("output", {}, String(value));
  return { field, told, label: made("label", {}, made("span", {}, name), field, told) };
}

function choice(name, options) {
  const field = made("select", {}, ...options);
  return { field, label: made("label", {}, made("span", {}, name), field) };
}

class Gallery {
  constructor(place) {
    Object.assign(this, JSON.parse(place.dataset.gallery));
    if (!this.scenes.length) return place.replaceChildren("No record of a scene yet.");
    this.scene = choice("picture", this.groups());
    this.detector = choice("detector", []);
    this.kind = choice("boxes", ["detections", "proposals"].map((kind) => new Option(kind)));
    this.powers = [slider("power of P(C|O)", 1, 2, 0.05), slider("power of P(O)", 1, 2, 0.05)];
    this.threshold = slider("threshold", 0.3, 1, 0.01);
    this.truth = made("input", { type: "checkbox" });
    this.said = made("p", { className: "said", role: "status" });
    this.image = made("img");
    this.boxes = made("div", { className: "boxes", ariaHidden: "true" });
    this.rows = made("table");
    place.replaceChildren(this.controls(), this.said, this.shown());
    this.change();
  }

  groups() {
    const groups = new Map();
    this.scenes.forEach((scene, k) => {
      if (!groups.has(scene.of)) groups.set(scene.of, made("optgroup", { label: scene.of }));
      groups.get(scene.of).append(new Option(scene.name, k));
    });
    return [...groups.values()];
  }

  controls() {
    const named = Object.entries(this.fusions).map(([name, powers]) => {
      const button = made("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        this.powers.forEach((one, k) => (one.field.value = powers[k]));
        this.draw();
      });
      return button;
    });
    const fields = [this.scene, this.detector, this.kind, this.threshold, ...this.powers];
    const truth = made("label", {}, made("span", {}, "annotated objects"), this.truth);
    const form = made("form", {}, ...fields.map((one) => one.label), truth);
    form.append(made("div", { className: "named", role: "group", ariaLabel: "named scores" }, ...named));
    form.addEventListener("input", ({ target }) => (target === this.scene.field ? this.change() : this.draw()));
    form.addEventListener("submit", (event) => event.preventDefault());
    this.named = named;
    return form;
  }

  shown() {
    const table = made("div", { className: "beside", tabIndex: 0, role: "region", ariaLabel: "boxes" }, this.rows);
    return made("div", { className: "shown" }, made("div", { className: "frame" }, this.image, this.boxes), table);
  }

  // Another picture: its detectors, the chosen one again if it is among them.
  change() {
    const scene = this.scenes[this.scene.field.value];
    const { field } = this.detector, before = field.value;
    field.replaceChildren(...scene.detectors.map(({ name }) => new Option(name)));
    if (scene.detectors.some(({ name }) => name === before)) field.value = before;
    this.image.src = scene.picture;
    this.draw();
  }

  draw() {
    const scene = this.scenes[this.scene.field.value], kind = this.kind.field.value;
    const detector = scene.detectors[this.detector.field.selectedIndex];
    for (const one of [...this.powers, this.threshold]) one.told.value = Number(one.field.value).toFixed(2);
    for (const one of [...this.powers.map(({ field }) => field), ...this.named]) one.disabled = kind === "proposals";
    const powers = this.powers.map(({ field }) => Number(field.value));
    const rows = scored(detector, kind, powers, Number(this.threshold.field.value));
    const right = judged(rows, scene.objects);
    const truth = this.truth.checked ? scene.objects.map((object) => this.box(scene, object, "truth")) : [];
    this.drawn = rows.map(({ box }, k) => this.box(scene, box, right[k] ? "right" : "wrong", k + 1));
    this.boxes.replaceChildren(...truth, ...this.drawn);
    this.list(rows, right, scene.classes, kind);
    const count = right.filter(Boolean).length, missed = scene.objects.length - count;
    this.said.textContent = `${rows.length} ${kind}: ${count} right, ${rows.length - count} wrong; `
      + `${missed} of ${scene.objects.length} objects missed`;
    this.image.alt = `${scene.of}, ${scene.name}, ${detector.name}, ${this.said.textContent}`;
  }

  // A frame in shares of the picture, so that it fits at any size.
  box({ width, height }, [left, top, right, bottom], kind, number) {
    const box = made("div", { className: `box ${kind}` });
    const sides = { left: left / width, top: top / height, width: (right - left) / width, height: (bottom - top) / height };
    for (const [side, share] of Object.entries(sides)) box.style[side] = `${100 * share}%`;
    if (number) box.append(made("span", {}, String(number)));
    return box;
  }

  list(rows, right, classes, kind) {
    const names = kind === "proposals" ? ["", "P(O)", ""] : ["", "class", "P(C|O)", "P(O)", "score", ""];
    const head = made("tr", {}, ...names.map((name) => made("th", {}, name)));
    const lines = rows.map(({ label, object, given, score }, k) => {
      const numbers = (kind === "proposals" ? [object] : [given, object, score]).map((one) => one.toFixed(3));
      const words = [k + 1, ...(kind === "proposals" ? [] : [classes[label]]), ...numbers, right[k] ? "right" : "wrong"];
      const line = made("tr", {}, ...words.map((word) => made("td", {}, String(word))));
      line.addEventListener("pointerenter", () => this.drawn[k].classList.add("pointed"));
      line.addEventListener("pointerleave", () => this.drawn[k].classList.remove("pointed"));
      return line;
    });
    this.rows.replaceChildren(made("thead", {}, head), made("tbody", {}, ...lines));
  }
}

for (const place of document.querySelectorAll(".gallery")) new Gallery(place);
