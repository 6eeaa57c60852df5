/** The thread in which DuckDB takes rows: for the archive's files, and for sorting and reports over other input. */
import { serveFeed } from '../duck/serve.ts'

serveFeed()
