/** The thread in which DuckDB takes rows: for files, and for sorting and reports over other input. */
import { serveFeed } from '../duck/serve.ts'

serveFeed()
