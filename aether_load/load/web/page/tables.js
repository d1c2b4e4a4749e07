// Rows and tiles out of plain values; a value is a text, or an element that was made here.
export function cells(values, kind = "td") {
  const row = document.createElement("tr");
  for (const value of values) {
    const cell = document.createElement(kind);
    cell.append(value instanceof Node ? value : String(value));
    row.append(cell);
  }
  return row;
}

export function fill(table, head, rows) {
  table.replaceChildren(cells(head, "th"), ...rows.map((row) => cells(row)));
}

export function tile(name, value, note, kind = "") {
  const box = document.createElement("div");
  box.className = "tile";
  const list = document.createElement("dl");
  const term = document.createElement("dt");
  const figure = document.createElement("dd");
  const small = document.createElement("small");
  term.textContent = name;
  figure.textContent = value;
  figure.className = kind;
  small.textContent = note;
  list.append(term, figure);
  box.append(list, small);
  return box;
}
