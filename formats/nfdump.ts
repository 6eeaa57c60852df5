import type { FlowFormat } from './format.ts'
import { nfdumpDecoder } from './nfdump/decode.ts'
import { probeHeader } from './nfdump/header.ts'
import { readIdent } from './nfdump/ident.ts'
import { rotatedName, rotatedTime, unfinishedName } from './nfdump/names.ts'
import { createNfdump, NFDUMP_16, NFDUMP_171, NFDUMP_178, type NfdumpVersion } from './nfdump/writer.ts'

/** Files of nfdump: nfcapd, nfpcapd and sfcapd 1.5 to 1.7; written as nfdump 1.7.1 and later read them. */
export const nfdump: FlowFormat = {
  name: 'nfdump',
  summary: 'nfdump files (nfcapd, nfpcapd, sfcapd) of versions 1.5 to 1.7; written for 1.7.1 and later',
  extensions: ['.nfcapd', '.nfdump'],
  probe: probeHeader,
  decoder: nfdumpDecoder,
  ...writerOf(NFDUMP_171),
}

/** The same with all that nfdump 1.7.8 knows: older versions complain of flows that have more. */
export const nfdump178: FlowFormat = {
  name: 'nfdump-1.7.8',
  summary: 'nfdump files with all that 1.7.8 knows: TTLs, flow ids, customer VLANs and more than 1.7.1',
  extensions: [],
  ...writerOf(NFDUMP_178),
}

/** As nfdump 1.6 writes them, for programs that read no others. */
export const nfdump16: FlowFormat = {
  name: 'nfdump-1.6',
  summary: 'nfdump files as nfdump 1.6 writes them, which 1.7 reads too',
  extensions: [],
  decoder: nfdumpDecoder,
  ...writerOf(NFDUMP_16),
}

function writerOf(version: NfdumpVersion): Pick<FlowFormat, 'create' | 'compressions' | 'fileNames'> {
  return {
    create: (path, request) => createNfdump(path, request, version),
    compressions: version.compressions,
    fileNames: {
      nameOf: (start, seconds) => rotatedName(start, seconds),
      timeOf: rotatedTime,
      unfinished: unfinishedName,
      identOf: readIdent,
    },
  }
}
