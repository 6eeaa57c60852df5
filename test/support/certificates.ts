/** Keys and certificates for tests of TLS, made by openssl. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why tests that need certificates are skipped; false if they can be made. */
export const noCertificates: string | false =
  spawnSync('openssl', ['version']).status === 0 ? false : 'not installed: openssl'

/** A key with its certificate, in PEM. */
export interface Certified {
  readonly key: string
  readonly cert: string
}

/** An authority, and what it has certified. */
export interface Authority {
  readonly ca: string
  /** Certify a new key for 127.0.0.1, ::1 and localhost, or the names given as openssl has them. */
  certify(subject: string, names?: string): Certified
  /** Remove its files. */
  end(): void
}

/** Make an authority. */
export function makeAuthority(name: string): Authority {
  const directory = mkdtempSync(join(tmpdir(), 'flowkit-tls-'))

  function make(file: string, subject: string, ...more: readonly string[]): Certified {
    const [key, cert] = [join(directory, `${file}.key`), join(directory, `${file}.pem`)]
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key]
    const args = ['req', '-x509', ...newKey, '-out', cert, '-days', '1', '-subj', `/CN=${subject}`, ...more]
    execFileSync('openssl', args, { stdio: 'ignore' })
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  }

  const { cert } = make('ca', name)
  let count = 0
  return {
    ca: cert,
    certify(subject, names = 'IP:127.0.0.1,IP:::1,DNS:localhost') {
      const by = ['-CA', join(directory, 'ca.pem'), '-CAkey', join(directory, 'ca.key')]
      const extensions = [`subjectAltName=${names}`, 'basicConstraints=critical,CA:FALSE']
      return make(String(++count), subject, ...by, ...extensions.flatMap((each) => ['-addext', each]))
    },
    end: () => rmSync(directory, { recursive: true }),
  }
}
