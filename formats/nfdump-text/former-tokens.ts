/** nfdump's tokens that former versions have in another way (src/output/output_fmt.c of 1.7.1). */
import { ID } from '../../core/flow/fields.ts'
import { network } from './addresses.ts'
import { formerEvent, formerReason } from './events.ts'
import { application, applicationName } from './headers.ts'
import { OLD_PROTOCOL_NAMES } from './names.ts'
import type { Piece } from './rows.ts'
import { durationSeconds, duration, perSecond, seconds, time, type Moment } from './times.ts'
import { protocol, type Token } from './tokens.ts'
import { hex, number, tcpFlags } from './values.ts'

function token(header: string, ...pieces: readonly Piece[]): Token {
  return { header, csv: '', wide: false, pieces }
}

function momentToken(header: string, moment: Moment): Token {
  return token(header, time(moment, { absent: undefined }))
}

const firstSeen = momentToken('Date first seen        ', 'first')

/** Those of 1.6: no time is the epoch, durations are seconds. */
export const TOKENS_1_6: ReadonlyMap<string, Token> = new Map([
  ['ts', momentToken('Date first seen        ', 'start')],
  ['td', token(' Duration', durationSeconds(9))],
  ['pr', token('Proto', protocol(OLD_PROTOCOL_NAMES))],
])

/** Those of 1.7.1: no time is the epoch, and what flows do not have is written in other ways. */
export const TOKENS_1_7_1: ReadonlyMap<string, Token> = new Map([
  ['tfs', firstSeen],
  ['ts', firstSeen],
  ['tsr', token('Date first seen (raw)    ', seconds('first', 0))],
  ['te', momentToken('Date last seen         ', 'end')],
  ['ter', token('Date last seen (raw)     ', seconds('end', 0))],
  ['tr', momentToken('Date flow received     ', 'received')],
  ['trr', token('Date flow received (raw)  ', seconds('received', 0))],
  ['td', token('    Duration    ', duration)],
  ['tds', token('    Duration    ', durationSeconds(16))],
  ['sn', { ...token('        Src Network', network(ID.srcAddr, ID.srcMask, true)), wide: true }],
  ['dn', { ...token('        Dst Network', network(ID.dstAddr, ID.dstMask, true)), wide: true }],
  ['bps', token('     bps', perSecond(ID.bytes, 8, 8, true))],
  ['pps', token('     pps', perSecond(ID.packets, 1, 8, true))],
  ['flg', token('   Flags', tcpFlags({ letters: true }))],
  ['tos', token('Tos', number(ID.tos, 3))],
  ['tevt', momentToken('Event time             ', 'event')],
  ['evt', token(' Event', formerEvent)],
  ['nevt', token(' Event', formerEvent)],
  ['xevt', token(' XEvent', formerReason)],
  ['odid', token('obsDomainID', hex(ID.observationDomainId, 9, '0x000000000'))],
  ['opid', token('  obsPointID', hex(ID.observationPointId, 10, '0x0000000000'))],
  ['nbid', token('nbar ID', application(' 0..0'))],
  ['nbnam', token('nbar name', applicationName('<no info>'))],
  ['sloc', token('Src IP location info')],
  ['dloc', token('Src IP location info')],
  ['ipl', token('', '\n')],
  ['opl', token('', '\n')],
  ['ja3', token(' '.repeat(29) + 'ja3', ' '.repeat(32))],
  ['sni', token('sni name', ' '.repeat(6))],
])

/** Those of 1.7.1 in the line of a tunnel, which counts for no flow. */
export const TUNNEL_TOKENS_1_7_1: ReadonlyMap<string, Token> = new Map([
  ['cnt', token('', '    0')],
  ['fl', token('', '    0')],
])
