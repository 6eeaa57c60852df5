/** The thread of a lane of `flowkit collect --workers`. */
import { badDatagrams } from '../../core/collector/bad-datagrams.ts'
import { serveLane } from '../../core/collector/lane-worker.ts'
import { explain } from '../errors.ts'
import { faultLog, stackOf } from './log.ts'
import { settingsOf, spoolOptions } from './plan.ts'
import type { LaneTask } from './threads.ts'
import { sinkOf } from '../sinks.ts'

serveLane<LaneTask>(({ task, lanes }, tell) => {
  const { options, filter, places, tls, bad } = task
  const faults = faultLog(tell)
  let { rotate } = options
  return {
    options: {
      ...settingsOf(options, filter),
      ...tls && { tls },
      groups: [], // joined by who opened the sockets
      forward: options.forward ?? [],
      sinks: places.map((place) => sinkOf(place, () => rotate)),
      ...spoolOptions(options, lanes),
      receiveBuffer: options.receiveBuffer,
      keep: badDatagrams(bad),
      onFault: (error, exporter) => faults.say(exporter, error.message, stackOf(error)),
      onError: (error) => faults.say('', explain(error, '').message),
    },
    settingsOf(changed) {
      rotate = changed.options.rotate
      return settingsOf(changed.options, changed.filter)
    },
    silent: () => faults.silent,
  }
})
