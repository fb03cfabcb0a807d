// What the page draws: labels with their scores, and words with their relevances.

/** Creates an element with attributes and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Formats a score: a probability as a percentage, anything else as a number. */
export function score(value, isShare) {
  return isShare ? `${(100 * value).toFixed(1)}%` : signed(value);
}

/** Formats a value with its sign. */
export function signed(value) {
  const size = Math.abs(value);
  const digits = size >= 0.1 || size === 0 ? size.toFixed(3) : size.toPrecision(3);
  const sign = value < 0 ? '\u2212' : '+';
  return Number(digits) === 0 ? digits : sign + digits;
}

/** Returns true if all scores are probabilities. */
export function areShares(scores) {
  return scores.every(({ score }) => score >= 0 && score <= 1);
}

/** Shows the scores in the order of the labels. Rows stay, so that their meters move. */
export function drawLabels(list, labels, scores) {
  if (list.children.length !== labels.length || [...list.children].some((row, at) => row.dataset.label !== labels[at])) {
    list.replaceChildren(...labels.map((label) => {
      const meter = element('span', { class: 'meter', 'aria-hidden': 'true' }, element('span'));
      const row = element('li', {}, element('span', { class: 'name' }, label), meter, element('span', { class: 'number' }));
      row.dataset.label = label;
      return row;
    }));
  }
  // Scores come highest first; labels may repeat.
  const rest = [...scores];
  const isShare = areShares(scores);
  for (const row of list.children) {
    const at = rest.findIndex(({ label }) => label === row.dataset.label);
    const [{ score: value }] = rest.splice(at, 1);
    row.querySelector('.number').textContent = score(value, isShare);
    row.querySelector('.meter span').style.setProperty('--share', isShare ? value : 0);
    row.classList.toggle('predicted', value === scores[0].score);
  }
}

/** Shades the words of a text by their relevance. Positions are in Unicode characters. */
export function drawWords(paragraph, { text, words }) {
  const characters = Array.from(text);
  const largest = Math.max(...words.map(({ relevance }) => Math.abs(relevance)), 0);
  const parts = [];
  let written = 0;
  for (const { start, end, relevance } of words) {
    // A tokenizer may find two words in one character.
    if (start < written) continue;
    parts.push(characters.slice(written, start).join(''));
    const word = element(
      'span',
      { class: relevance < 0 ? 'against' : 'for', title: signed(relevance) },
      characters.slice(start, end).join(''),
    );
    word.style.setProperty('--strength', largest > 0 ? (Math.abs(relevance) / largest).toFixed(3) : 0);
    parts.push(word);
    written = end;
  }
  parts.push(characters.slice(written).join(''));
  paragraph.replaceChildren(...parts);
  return largest;
}

/** Shows a picture that the server drew. Its colors are in the page's style sheet already. */
export function drawPicture(figure, svg) {
  const source = svg.replace(/<style>[^]*?<\/style>/, '');
  const picture = new DOMParser().parseFromString(source, 'image/svg+xml').documentElement;
  picture.removeAttribute('class');
  figure.replaceChildren(document.importNode(picture, true));
}
