import type { Input } from '../../formats/locations.ts'

/** Inputs that leave a heading when their reading begins. */
export interface HeadedInputs {
  readonly inputs: readonly Input[]
  /** The headings of inputs begun since the last call. */
  take(): string
}

/** Give inputs headings. @param heading what stands before the flows of an input of that name */
export function withHeadings(inputs: readonly Input[], heading: (name: string) => string): HeadedInputs {
  let begun = ''
  return {
    inputs: inputs.map((input): Input => ({
      ...input,
      open(request) {
        begun += heading(input.name)
        return input.open(request)
      },
    })),
    take() {
      const taken = begun
      begun = ''
      return taken
    },
  }
}
