// The page: classifies as you type, and explains when you pause.

import { ask, hasKey, newest, Refusal, useKey } from './client.js';
import { areShares, drawLabels, drawPicture, drawWords, element, score, signed } from './drawing.js';

const PICTURE = 'words-by-relevance.svg';

/** Milliseconds without another key, before something is computed or announced. */
const CLASSIFY = 60;
const EXPLAIN = 250;
const ANNOUNCE = 900;

/** Number of times that an explanation is tried again while others are computed. */
const TRIES = 20;

const at = (id) => document.getElementById(id);
const text = at('text');

/** Labels of the chosen model; none before they are known. */
let labels = [];
let announcing;
let tries = 0;
/** False once the chosen model has refused to explain, because of its precision. */
let explains = true;

const written = () => text.value.toWellFormed?.() ?? text.value;
const model = () => at('model').value;

const classify = newest(
  CLASSIFY,
  (signal) => ask(`models/${encodeURIComponent(model())}`, { inputs: written() }, signal),
  ([scores]) => {
    say('');
    drawLabels(at('labels'), labels, scores);
    at('results').hidden = false;
    clearTimeout(announcing);
    const predicted = `${scores[0].label}, ${score(scores[0].score, areShares(scores))}`;
    announcing = setTimeout(() => { at('announcement').textContent = predicted; }, ANNOUNCE);
  },
  (error) => failed(error, changed),
);

const explain = newest(
  EXPLAIN,
  (signal) => {
    const target = at('target').value;
    const parameters = { pictures: true, ...(target === '' ? {} : { target: labels[target] }) };
    return ask('explain', { inputs: written(), model: model(), parameters }, signal);
  },
  (explanation) => {
    tries = 0;
    at('words').classList.remove('stale');
    at('words').ariaBusy = 'false';
    at('words-error').textContent = '';
    at('words-heading').textContent = `Words for ${explanation.target}`;
    const largest = drawWords(at('shaded'), explanation);
    at('scale').hidden = largest === 0;
    at('lowest').textContent = `${signed(-largest)} against`;
    at('highest').textContent = `for ${signed(largest)}`;
    const cut = explanation.truncated_at;
    at('cut').textContent = cut === null ? '' : `The model reads ${explanation.tokens.length} tokens; the text is cut at character ${cut}.`;
    drawPicture(at('bars'), explanation.pictures[PICTURE]);
  },
  (error) => {
    if (error.code === 'Overloaded' && tries < TRIES) {
      tries += 1;
      explain(200);
      return;
    }
    if (error.code === 'Validation') {
      showExplanations(false);
      return;
    }
    at('words-error').textContent = error.message;
  },
);

/** Shows the explanation, or that the model has none. */
function showExplanations(areThere) {
  explains = areThere;
  at('words').classList.toggle('unavailable', !areThere);
  at('words').ariaBusy = 'false';
  at('words-heading').textContent = 'Words';
  at('words-error').textContent = areThere ? '' : 'Explanations need a model in f32 or f16.';
}

/** Shows an error, or none. */
function say(words) {
  at('error').textContent = words;
}

/** Shows an error, and tries again if that can help. */
function failed(error, again) {
  if (!(error instanceof Refusal)) throw error;
  say(error.message);
  if (error.code === 'Unauthorized') askForKey();
  if (error.code === 'Overloaded') {
    setTimeout(() => { if (at('error').textContent === error.message) again(); }, 1000 * error.retryAfter);
  }
}

function askForKey() {
  say(hasKey() ? 'The key is not valid.' : 'This server requires a key.');
  at('key-form').hidden = false;
  at('key').focus();
}

/** Computes what follows from a text, or shows nothing without one. */
function changed() {
  if (written() === '') {
    classify.cancel();
    explain.cancel();
    clearTimeout(announcing);
    at('results').hidden = true;
    at('announcement').textContent = '';
    say('');
    return;
  }
  if (labels.length === 0) return;
  classify();
  explainAgain();
}

function explainAgain() {
  if (!explains) return;
  tries = 0;
  at('words').classList.add('stale');
  at('words').ariaBusy = 'true';
  explain();
}

/** Reads the labels of the chosen model. */
async function chooseModel() {
  labels = [];
  const description = await ask(`v2/models/${encodeURIComponent(model())}`);
  labels = description.parameters.labels;
  showExplanations(true);
  const options = labels.map((label, index) => element('option', { value: index }, label));
  at('target').replaceChildren(element('option', { value: '' }, 'the predicted label'), ...options);
  changed();
}

async function begin() {
  try {
    const { models } = await ask('v2/models');
    at('key-form').hidden = true;
    at('model').replaceChildren(...models.map((name) => element('option', {}, name)));
    at('model-choice').hidden = models.length < 2;
    say('');
    await chooseModel();
    text.focus();
  } catch (error) {
    failed(error, begin);
  }
}

text.addEventListener('input', changed);
at('target').addEventListener('change', explainAgain);
at('model').addEventListener('change', () => chooseModel().catch((error) => failed(error, chooseModel)));
at('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  useKey(at('key').value);
  begin();
});
begin();
