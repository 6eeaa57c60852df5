import { getSystemErrorMessage } from 'node:util'
import { FlowkitError } from '../flow/errors.ts'

/** An error of the system's, of OpenSSL's or of Node's own check of names. */
interface ConnectionError extends Error {
  readonly code?: string
  readonly errno?: number
  readonly syscall?: string
  /** OpenSSL's words. */
  readonly reason?: string
  /** The certificate that does not fit. */
  readonly cert?: { readonly subjectaltname?: string, readonly subject?: { readonly CN?: string } }
}

/** Certificates that end at no authority that is known: X509_V_ERR_… of OpenSSL, as Node names them. */
const UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CERT_UNTRUSTED',
])

/** Reasons of other codes. */
const REASONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'it knows no TLS of version 1.2 or later',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'it wants a certificate, by --tls-cert and --tls-key',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: 'it wants another certificate or cipher',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'it does not trust the authority of --tls-cert',
  ETIMEDOUT: 'connection timed out',
  ENOTFOUND: 'no such host',
}

/** Why a connection could not be had, or was lost, in words: `connection refused`. */
export function connectionFault(error: unknown): string {
  const cause = (error instanceof AggregateError ? error.errors[0] : error) as ConnectionError
  const { code = '', errno, message, reason, cert } = cause
  if (cause instanceof FlowkitError) return message.slice(message.lastIndexOf(': ') + 2)
  if (UNKNOWN_AUTHORITY.has(code)) return 'no known authority has signed its certificate: --tls-ca names one'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = cert?.subjectaltname ?? cert?.subject?.CN ?? 'no name'
    return `its certificate is for ${names}: --tls-name tells which name to expect`
  }
  if (code in REASONS) return REASONS[code]
  if (message.startsWith('Client network socket disconnected')) return 'it has ended the handshake of TLS'
  return errno === undefined ? (reason ?? message) : getSystemErrorMessage(errno)
}
