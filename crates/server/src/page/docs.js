// The reference of the API, made from its OpenAPI description.

import { ask, send, useKey } from './client.js';
import { element } from './drawing.js';

const at = (id) => document.getElementById(id);
let api;

/** Returns text with the parts between backquotes as code. */
function prose(text) {
  return text.split('`').map((part, index) => (index % 2 ? element('code', {}, part) : part));
}

function paragraphs(text) {
  return text.split('\n\n').map((part) => element('p', {}, ...prose(part)));
}

function resolved(schema) {
  const name = schema?.$ref?.split('/').at(-1);
  return name ? api.components.schemas[name] : schema ?? {};
}

/** Returns the schema of the elements of lists within lists, and the first of several choices. */
function unwrapped(schema) {
  const known = resolved(schema);
  const inner = known.items ?? (known.oneOf ?? known.anyOf)?.[0];
  return inner ? unwrapped(inner) : known;
}

/** Names the type of a schema. */
function type(schema) {
  if (schema.$ref) {
    const named = resolved(schema);
    return named.oneOf || named.enum || ['string', 'integer'].includes(named.type) ? type(named) : 'object';
  }
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return [...new Set(choices.filter((one) => one.type !== 'null').map(type))].join(' or ');
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (schema.type === 'array' || schema.type?.includes?.('array')) return `list of ${type(schema.items ?? {})}`;
  const types = [schema.type ?? 'anything'].flat().filter((name) => name !== 'null');
  return types.join(' or ');
}

/** Describes a property by its own words, or by those of its type. */
function meaning(property) {
  const described = [property, ...(property.oneOf ?? []), ...(property.oneOf ?? [property]).map(resolved)];
  return described.map(({ description }) => description).find(Boolean) ?? '';
}

/** Lists the fields of a schema, each in a list with those of its object. */
function groups(schema, prefix, depth) {
  const known = unwrapped(schema);
  const own = Object.entries(known.properties ?? {}).map(([name, property]) => {
    const required = known.required?.includes(name) ?? false;
    const row = [prefix + name, type(property), meaning(property), required];
    const inner = [property, property.items, ...(property.oneOf ?? [])].filter((one) => one?.$ref);
    const nested = depth < 2 ? inner.flatMap((one) => fields(one, `${prefix}${name}.`, depth + 1)) : [];
    return [row, ...nested];
  });
  return [...own, ...(known.allOf ?? []).flatMap((part) => groups(part, prefix, depth))];
}

/** Lists the fields of a schema, those of nested objects with dots, as [name, type, description, required]. */
function fields(schema, prefix = '', depth = 0) {
  return groups(schema, prefix, depth).sort(([one], [other]) => other[3] - one[3]).flat();
}

function table(head, rows) {
  const cells = (kind, row) => element('tr', {}, ...row.map((cell) => element(kind, {}, ...[cell].flat())));
  return element('table', {}, element('thead', {}, cells('th', head)), element('tbody', {}, ...rows.map((row) => cells('td', row))));
}

function fieldTable(schema) {
  const rows = fields(schema).map(([name, kind, description, required]) => [
    element('code', {}, name), required ? kind : `${kind}, optional`, prose(description),
  ]);
  return rows.length ? [table(['Field', 'Type', 'Meaning'], rows)] : [];
}

/** Returns the body of an example, indented. */
function example(operation) {
  const schema = operation.requestBody?.content['application/json']?.schema;
  const found = resolved(schema).example;
  return found === undefined ? undefined : JSON.stringify(found, null, 2);
}

/** A form that sends a request and shows the answer. */
function attempt(path, method, operation) {
  const names = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  const inputs = names.map((name) => [name, element('input', { 'aria-label': name, placeholder: name, required: '' })]);
  const body = example(operation);
  const area = element('textarea', { class: 'code', rows: 4, spellcheck: 'false', 'aria-label': 'Body' });
  area.value = body ?? '';
  const output = element('pre', { hidden: '', tabindex: '0', role: 'status' });
  const form = element('form', {}, ...inputs.map(([, input]) => input), ...(body === undefined ? [] : [area]), element('button', {}, 'Send'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const filled = inputs.reduce((all, [name, input]) => all.replace(`{${name}}`, encodeURIComponent(input.value)), path);
    output.hidden = false;
    output.textContent = '…';
    try {
      const content = body === undefined ? undefined : area.value;
      const response = await send(filled.slice(1) || './', { body: content, method: method.toUpperCase() });
      const answer = await response.text();
      const isJson = response.headers.get('content-type')?.startsWith('application/json');
      output.textContent = `${response.status}\n${isJson ? JSON.stringify(JSON.parse(answer), null, 2) : answer}`;
    } catch {
      output.textContent = 'The server cannot be reached.';
    }
  });
  return element('details', {}, element('summary', {}, 'Try it'), form, output);
}

function curl(path, operation) {
  const found = example(operation);
  const data = found === undefined ? '' : ` -d '${JSON.stringify(JSON.parse(found)).replaceAll("'", "'\\''")}'`;
  return element('pre', { tabindex: '0', 'aria-label': 'Example' }, `curl${data} ${location.origin}${path}`);
}

function endpoint(path, method, operation) {
  const answers = Object.entries(operation.responses).map(([status, answer]) => [status, prose(answer.description.replaceAll('\n\n', '; '))]);
  const request = operation.requestBody?.content['application/json']?.schema;
  const answer = operation.responses['200']?.content?.['application/json']?.schema;
  const details = (name, content) => (content.length ? [element('details', {}, element('summary', {}, name), ...content)] : []);
  return element(
    'article',
    { id: operation.operationId },
    element('h3', {}, element('code', {}, `${method.toUpperCase()} ${path}`)),
    ...paragraphs([operation.summary, operation.description].filter(Boolean).join('.\n\n')),
    curl(path, operation),
    ...details('Request', request ? fieldTable(request) : []),
    ...details('Answer', answer ? fieldTable(answer) : []),
    ...details('Statuses', [table(['Status', 'Meaning'], answers)]),
    attempt(path, method, operation),
  );
}

function draw() {
  at('title').textContent = `API reference for ${api.info.title} ${api.info.version}`;
  at('description').replaceChildren(...paragraphs(api.info.description));
  const all = Object.entries(api.paths).flatMap(([path, item]) => (
    ['get', 'post'].filter((method) => item[method]).map((method) => [path, method, item[method]])
  ));
  api.tags.forEach(({ name }, index) => {
    const own = all.filter(([, , operation]) => operation.tags[0] === name);
    at('tags').append(element('a', { href: `#tag-${index}` }, name));
    at('endpoints').append(element('section', { id: `tag-${index}` }, element('h2', {}, name), ...own.map((one) => endpoint(...one))));
  });
}

at('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  useKey(at('key').value);
});
ask('openapi.json').then((found) => {
  api = found;
  draw();
}, (error) => { at('error').textContent = error.message; });
