-- What the platform keeps for itself; the API does not expose this schema.

CREATE TABLE ops.stream_progress (
  query              text PRIMARY KEY,
  batch_id           bigint NOT NULL,
  input_rows         bigint NOT NULL,
  rows_total         bigint NOT NULL,
  rows_per_second    double precision,
  batch_ms           bigint,
  end_offsets        jsonb,
  lag_records        bigint,
  watermark          timestamptz,
  event_time_delay_s double precision,
  state_rows         bigint,
  state_bytes        bigint,
  late_rows          bigint,
  run_id             uuid,
  updated_at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.stream_progress IS 'The newest progress of each streaming query; best effort, for status pages.';
COMMENT ON COLUMN ops.stream_progress.query IS 'Streaming query.';
COMMENT ON COLUMN ops.stream_progress.batch_id IS 'Newest finished micro-batch.';
COMMENT ON COLUMN ops.stream_progress.input_rows IS 'Records that this batch read.';
COMMENT ON COLUMN ops.stream_progress.rows_total IS 'Records read since the query first started, as far as was reported.';
COMMENT ON COLUMN ops.stream_progress.rows_per_second IS 'Records a second over the batch.';
COMMENT ON COLUMN ops.stream_progress.batch_ms IS 'Duration of the batch in milliseconds.';
COMMENT ON COLUMN ops.stream_progress.end_offsets IS
  'Where it has read to. Kafka: {topic: {partition: offset}}; Delta: {"table_version": n}.';
COMMENT ON COLUMN ops.stream_progress.lag_records IS 'Records that stood behind end_offsets when the batch ended.';
COMMENT ON COLUMN ops.stream_progress.watermark IS 'Event-time watermark, where the query has one.';
COMMENT ON COLUMN ops.stream_progress.event_time_delay_s IS 'Platform clock minus newest event time, in seconds.';
COMMENT ON COLUMN ops.stream_progress.state_rows IS 'Rows in the state store.';
COMMENT ON COLUMN ops.stream_progress.state_bytes IS 'Memory of the state store in bytes.';
COMMENT ON COLUMN ops.stream_progress.late_rows IS 'Rows that came behind the watermark.';
COMMENT ON COLUMN ops.stream_progress.run_id IS 'This run of the query; a restart gives a new one.';
COMMENT ON COLUMN ops.stream_progress.updated_at IS 'Wall clock of the report.';

CREATE TABLE ops.sink_batches (
  query        text NOT NULL,
  epoch        text NOT NULL,
  batch_id     bigint NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (query, epoch, batch_id)
);
COMMENT ON TABLE ops.sink_batches IS
  'Guards of the sinks: a batch that stands here was committed, so its repetition writes nothing.';
COMMENT ON COLUMN ops.sink_batches.query IS 'Streaming query.';
COMMENT ON COLUMN ops.sink_batches.epoch IS 'Identity of the checkpoint: a new checkpoint counts batches from 0 again.';
COMMENT ON COLUMN ops.sink_batches.batch_id IS 'Micro-batch of that checkpoint.';
COMMENT ON COLUMN ops.sink_batches.committed_at IS 'Wall clock of the commit.';

CREATE TABLE ops.alert_outbox (
  alert_id     text PRIMARY KEY,
  payload      jsonb NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  published_at timestamptz
);
CREATE INDEX alert_outbox_pending_idx ON ops.alert_outbox (created_at, alert_id) WHERE published_at IS NULL;
COMMENT ON TABLE ops.alert_outbox IS
  'Alerts on their way to Kafka: written in the transaction of the batch that raised them, sent afterwards.';
COMMENT ON COLUMN ops.alert_outbox.alert_id IS 'Key of the alert, and of its Kafka record.';
COMMENT ON COLUMN ops.alert_outbox.payload IS 'The event as it goes into Kafka.';
COMMENT ON COLUMN ops.alert_outbox.created_at IS 'Wall clock of the insert.';
COMMENT ON COLUMN ops.alert_outbox.published_at IS 'Wall clock at which Kafka had acknowledged it; null until then.';

CREATE TABLE ops.gap_repairs (
  venue       text NOT NULL,
  symbol      text NOT NULL,
  first_id    bigint NOT NULL,
  last_id     bigint NOT NULL,
  repaired_at timestamptz NOT NULL,
  CHECK (first_id <= last_id),
  PRIMARY KEY (venue, symbol, first_id, last_id)
);
COMMENT ON TABLE ops.gap_repairs IS
  'Ranges of trade ids that arrived after all. public.gaps follows from it and from the gaps that were announced, '
  'whatever the order in which both were told.';
COMMENT ON COLUMN ops.gap_repairs.venue IS 'Venue.';
COMMENT ON COLUMN ops.gap_repairs.symbol IS 'Market as BASE-QUOTE.';
COMMENT ON COLUMN ops.gap_repairs.first_id IS 'First trade id of the range.';
COMMENT ON COLUMN ops.gap_repairs.last_id IS 'Last trade id of the range.';
COMMENT ON COLUMN ops.gap_repairs.repaired_at IS 'Platform clock of the repair.';
