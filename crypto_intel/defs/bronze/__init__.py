"""Tables as they come from Kafka: one row per record, written by the Spark application; and what runs add to Kafka."""
