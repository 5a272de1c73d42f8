// Words in the reader's language. English stands in the code; other languages map it to theirs.

let words = null;
let tongue = 'en';

/** The languages, by their own names. */
export const LANGUAGES = { en: 'English', zh: '中文' };

/** The tag of the language in use. */
export function language() {
  return tongue === 'zh' ? 'zh-CN' : 'en';
}

/** `text` in the reader's language, `{name}` replaced from `values`. */
export function t(text, values) {
  const said = words?.[text] ?? text;
  return values ? said.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole)) : said;
}

function stored() {
  try {
    return localStorage.getItem('language');
  } catch {
    return null;
  }
}

/** Takes the language that was chosen, or else the browser's. */
export async function begin() {
  const wanted = stored() ?? (navigator.languages ?? [navigator.language]).find((one) => /^(zh|en)/i.test(one)) ?? 'en';
  await use(wanted.toLowerCase().startsWith('zh') ? 'zh' : 'en');
}

/** Speaks another language from now on. */
export async function choose(next) {
  try {
    localStorage.setItem('language', next);
  } catch {
    // Without storage it holds for this page alone.
  }
  await use(next);
}

async function use(next) {
  words = next === 'zh' ? (await import('./zh.js')).default : null;
  tongue = next;
  document.documentElement.lang = language();
}
