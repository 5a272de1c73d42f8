// The document: elements are made here, and text only ever becomes text. Nothing parses HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** Nodes that somebody holds on to, for their listeners or for what was drawn in them: they are not taken apart. */
const OWN = new WeakSet();

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      OWN.add(node);
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === 'style') {
      // Set one by one: the policy of the page forbids style attributes.
      for (const [property, text] of Object.entries(value)) node.style.setProperty(property, text);
    } else if (name === 'value' || name === 'checked' || name === 'disabled' || name === 'selected') {
      node[name] = value;
    } else if (name === 'href') {
      node.setAttribute('href', safe(value));
    } else {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
  add(node, children);
  return node;
}

// A link leads within the page or to the web, never to a script.
function safe(href) {
  const text = String(href);
  if (text.startsWith('/') || text.startsWith('#') || text.startsWith('?')) return text;
  return /^(https?|blob):/i.test(text) ? text : '#';
}

export function add(node, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** An element with these attributes and children; strings become text. */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** The same for graphics. */
export function svg(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** Keeps a node as it is when what is around it is drawn again. */
export function own(node) {
  OWN.add(node);
  return node;
}

/**
 * Puts other children into a node. What is the same stays as it is, so that selections and movements go on; whoever is
 * on a link or a field there stays on it.
 */
export function fill(node, ...children) {
  const active = document.activeElement;
  const inside = active && active !== node && node.contains(active);
  const mark = (one) => one.getAttribute('href') ?? one.id;
  const before = inside ? mark(active) : null;
  reconcile(node, children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  if (before && (!active.isConnected || mark(active) !== before)) {
    [...node.querySelectorAll('a[href], [id]')].find((one) => mark(one) === before)?.focus({ preventScroll: true });
  }
  return node;
}

function reconcile(node, next) {
  const stays = new Set(next.filter((child) => child.parentNode === node));
  let at = node.firstChild;
  for (const now of next) {
    if (at === now) {
      at = at.nextSibling;
    } else if (!at || stays.has(at) || stays.has(now)) {
      node.insertBefore(now, at);
    } else {
      const was = at;
      at = at.nextSibling;
      if (alike(was, now)) patch(was, now);
      else was.replaceWith(now);
    }
  }
  while (at) {
    const rest = at;
    at = at.nextSibling;
    rest.remove();
  }
}

function patch(was, now) {
  if (was.nodeType !== Node.ELEMENT_NODE) {
    if (was.data !== now.data) was.data = now.data;
    return;
  }
  attributes(was, now);
  reconcile(was, [...now.childNodes]);
}

function alike(was, now) {
  return was.nodeName === now.nodeName && was.namespaceURI === now.namespaceURI && !OWN.has(was) && !OWN.has(now);
}

function attributes(was, now) {
  for (const { name } of [...was.attributes]) {
    // What the reader has opened stays open.
    if (!now.hasAttribute(name) && !(name === 'open' && was.nodeName === 'DETAILS')) was.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (name === 'style') continue;
    if (was.getAttribute(name) !== value) was.setAttribute(name, value);
  }
  if (now.style?.length || was.style?.length) {
    for (const property of [...was.style]) if (!now.style.getPropertyValue(property)) was.style.removeProperty(property);
    for (const property of now.style) was.style.setProperty(property, now.style.getPropertyValue(property));
  }
}
