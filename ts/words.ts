// Text from outside as it may stand in a sentence: on one line, short, and without anything that disturbs a terminal.

export function quoted(text: string, limit = 60): string {
  const visible = text.replace(
    /[\p{C}\u2028\u2029]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return visible.length > limit ? `'${visible.slice(0, limit - 1)}…'` : `'${visible}'`;
}
