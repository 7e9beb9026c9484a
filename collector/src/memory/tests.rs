use super::*;

fn config(head: &str, tail: &str) -> Result<Config, String> {
    let text = format!(
        "data_dir = \"/var/lib/c\"\nnode = \"n\"\n{head}\n[sources.pods]\ntype = \"kubernetes_logs\"\n\
         [sinks.bucket]\ntype = \"aws_s3\"\nbucket = \"b\"\ninputs = [\"pods\"]\n{tail}"
    );
    Config::parse(Path::new("c.toml"), &text, &|_| None).map_err(|error| error.to_string())
}

const CLOUDWATCH: &str =
    "[sinks.cw]\ntype = \"aws_cloudwatch_logs\"\ngroup_name = \"g\"\ninputs = [\"pods\"]\n";

#[test]
fn a_ceiling_that_cannot_be_kept_is_refused_with_the_key_that_takes_most() {
    let error = config("memory_max = \"26MiB\"", "").unwrap_err();
    assert!(error.starts_with("c.toml: memory_max: 26MiB is less than the "), "{error}");
    assert!(error.contains("change sources.pods.max_line_bytes, which makes "), "{error}");
    // What it names is what helps.
    let text = "data_dir = \"/d\"\nnode = \"n\"\nmemory_max = \"26MiB\"\n[sources.pods]\n\
                type = \"kubernetes_logs\"\nmax_line_bytes = \"64KiB\"\n\
                [sinks.bucket]\ntype = \"aws_s3\"\nbucket = \"b\"\ninputs = [\"pods\"]\n";
    Config::parse(Path::new("c.toml"), text, &|_| None).unwrap();
    let error =
        config("memory_max = \"64MiB\"", &format!("{CLOUDWATCH}request.concurrency = 64\n")).unwrap_err();
    assert!(error.contains("change sinks.cw.request.concurrency"), "{error}");
    config("memory_max = \"64MiB\"", &format!("{CLOUDWATCH}request.concurrency = 4\n")).unwrap();
    let error = config("memory_max = \"64MiB\"\nbatch.max_bytes = \"16MiB\"", "").unwrap_err();
    assert!(error.contains("change batch.max_bytes"), "{error}");
    let error = config("memory_max = \"48MiB\"\nsegment.compression_level = 19", "").unwrap_err();
    assert!(error.contains("change segment.compression_level"), "{error}");
}

#[test]
fn shares_never_add_up_to_more_than_the_ceiling_and_without_one_nothing_is_limited() {
    for tail in ["", CLOUDWATCH] {
        let config = config("", tail).unwrap();
        let reads = config.sources["pods"].memory();
        let free = shares(&config, None);
        assert_eq!((free.caps(&reads).pushed, free.deliveries), (IN_FLIGHT_BYTES, usize::MAX));
        assert!(free.caps(&reads).held >= reads.held);
        let minimum: usize =
            config.sinks.values().map(|sink| sink.settings.memory(&config).with(frame(&config))).sum();
        for extra in [0, 1, 8 * MIB, 100 * MIB, 1000 * MIB] {
            let ceiling = least(&config) + extra;
            let shares = shares(&config, Some(ByteSize::new(ceiling)));
            let caps = shares.caps(&reads);
            let grown = HELD_FACTOR * (caps.held - reads.record) + (shares.deliveries - minimum);
            assert!(grown <= extra, "{grown} of {extra}");
            assert!(caps.held >= reads.record, "one record is always possible");
            assert!(extra < 1000 * MIB || caps.held >= reads.held, "a large ceiling changes nothing");
        }
    }
}

#[test]
fn a_ceiling_taken_from_the_kernel_may_be_too_low_and_everything_gets_its_least() {
    let config = config("", CLOUDWATCH).unwrap();
    let shares = shares(&config, Some(ByteSize::new(MIB)));
    let minimum: usize =
        config.sinks.values().map(|sink| sink.settings.memory(&config).with(frame(&config))).sum();
    assert_eq!(shares.deliveries, minimum);
    assert_eq!(shares.caps(&config.sources["pods"].memory()).held, config.sources["pods"].memory().record);
}
