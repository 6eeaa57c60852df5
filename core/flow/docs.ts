/** The field table as a text for people. */
import { elementName } from './elements.ts'
import { FIELDS, PEERS, type Field } from './fields.ts'

const HEAD = ['Name', 'Type', 'Unit', 'Meaning', ...PEERS, 'Elements']

/** Every field: name, type, unit, meaning, names in the peers, its elements; aligned, or in Markdown. */
export function fieldTable({ markdown }: { readonly markdown: boolean }): string {
  const rows = [HEAD, ...FIELDS.map(cellsOf)]
  if (markdown) {
    rows.splice(1, 0, HEAD.map(() => '---'))
    return rows.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
  }
  const widths = HEAD.map((_, i) => Math.max(...rows.map((cells) => cells[i].length)))
  const lines = rows.map((cells) => cells.map((cell, i) => cell.padEnd(widths[i])).join('  ').trimEnd())
  return `${lines.join('\n')}\n`
}

function cellsOf({ name, type, unit, elements, peers, doc }: Field): string[] {
  const filled = elements.map(({ pen, id }) => `${elementName(pen, id)} (${pen === 0 ? '' : `${pen}/`}${id})`)
  return [name, type, unit, doc, ...PEERS.map((peer) => peers[peer] ?? ''), filled.join(', ')]
}
