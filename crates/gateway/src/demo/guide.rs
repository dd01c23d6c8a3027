//! Requests to try against the demo.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// One thing to try: a request, and what comes back.
struct Step {
    /// The feature it shows.
    title: &'static str,
    /// The command, with `@` for the proxy's URL and `%` for the admin listener's.
    commands: &'static [(&'static str, &'static str)],
}

const STEPS: [Step; 10] = [
    Step {
        title: "The first request waits for the backend; the next one does not, whatever the order of its parameters",
        commands: &[
            ("curl -i '@/api/v1/issues?project=storefront&organization=acme'", "X-Cache: MISS   0.3 s"),
            ("curl -i '@/api/v1/issues?organization=acme&project=storefront'", "X-Cache: HIT    the same X-Backend-Request, and an Age"),
        ],
    },
    Step {
        title: "Go round the cache; the stored copy is renewed",
        commands: &[("curl -i '@/api/v1/issues?organization=acme&project=storefront&no_cache=true'", "X-Cache: BYPASS")],
    },
    Step {
        title: "A client that has the list already is told so from the store",
        commands: &[(
            r#"curl -i -H 'If-None-Match: "issues-1"' '@/api/v1/issues?organization=acme&project=storefront'"#,
            "HTTP/1.1 304    X-Cache: HIT",
        )],
    },
    Step {
        title: "A write through the cache drops what was stored for its URL, and the lists, as the configuration says",
        commands: &[
            ("curl -i '@/api/v1/issues/7'", "X-Cache: MISS"),
            ("curl -i '@/api/v1/issues/7'", "X-Cache: HIT"),
            (r#"curl -i -X PATCH -H 'Content-Type: application/json' -d '{"state":"closed"}' '@/api/v1/issues/7'"#, "X-Cache: BYPASS"),
            ("curl -i '@/api/v1/issues/7'", "X-Cache: MISS   and the issue is closed"),
            ("curl -i '@/api/v1/issues?organization=acme&project=storefront'", "X-Cache: MISS"),
        ],
    },
    Step {
        title: "Purge everything that has a tag; `larder purge --tag issue:7` does the same",
        commands: &[
            (
                r#"curl -s -H 'Content-Type: application/json' -d '{"tags":["issue:7"]}' '%/purge'"#,
                r#"{"applied":1,"position":2,"replicas":1}"#,
            ),
            ("curl -i '@/api/v1/issues/7'", "X-Cache: MISS"),
        ],
    },
    Step {
        title: "The backend says how long: Cache-Control: max-age=60",
        commands: &[
            ("curl -i '@/api/v1/analytics/weekly'", "X-Cache: MISS   1 s"),
            ("curl -i '@/api/v1/analytics/weekly'", "X-Cache: HIT"),
        ],
    },
    Step {
        title: "One stored response for each language (Vary)",
        commands: &[
            ("curl -i -H 'Accept-Language: en' '@/api/v1/search?q=refund'", "X-Cache: MISS   0.5 s"),
            ("curl -i -H 'Accept-Language: de' '@/api/v1/search?q=refund'", "X-Cache: MISS   0.5 s"),
            ("curl -i -H 'Accept-Language: de' '@/api/v1/search?q=refund'", "X-Cache: HIT    in German"),
        ],
    },
    Step {
        title: "One stored response for each person, and never another's",
        commands: &[
            ("curl -i -H 'Authorization: Bearer ada' '@/api/v1/me'", "X-Cache: MISS"),
            ("curl -i -H 'Authorization: Bearer ada' '@/api/v1/me'", "X-Cache: HIT"),
            ("curl -i -H 'Authorization: Bearer grace' '@/api/v1/me'", "X-Cache: MISS"),
        ],
    },
    Step {
        title: "Events pass through as they happen",
        commands: &[("curl -iN --max-time 3 '@/api/v1/events'", "X-Cache: MISS   one event a second")],
    },
    Step {
        title: "50 requests at once for a report that is not stored: the backend is asked once",
        commands: &[(
            "seq 50 | xargs -P 50 -I{} curl -s -o /dev/null -D - '@/api/v1/analytics/monthly' | grep -i x-backend-request | sort | uniq -c",
            "50 times the same number, after 1 s",
        )],
    },
];

/// The commands to try, each with what to expect on a line of its own behind `#`.
pub fn guide(proxy: SocketAddr, admin: SocketAddr, backend: SocketAddr) -> String {
    let mut text = format!(
        "\nLarder is on http://{proxy}, before a backend on http://{backend} that is slow on purpose; its dashboard is on http://{admin}. Try:\n"
    );
    let (url, admin) = (format!("http://{proxy}"), format!("http://{admin}"));
    for Step { title, commands } in &STEPS {
        // A `String` takes everything.
        let _infallible = write!(text, "\n{title}\n");
        for (command, expected) in *commands {
            let _infallible = write!(text, "  {}\n  # {expected}\n", command.replace('@', &url).replace('%', &admin));
        }
    }
    let _infallible =
        write!(text, "\nWhat was counted meanwhile\n  curl -s '{admin}/metrics'\n  # larder_requests_total by result and reason\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_names_the_addresses_in_use_and_what_to_expect() {
        let [proxy, admin, backend] = [8081, 8091, 3001].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = guide(proxy, admin, backend);
        let lines: Vec<_> = text.lines().collect();
        let commands = lines.iter().enumerate().filter(|(_, line)| line.contains("curl "));
        for (index, command) in commands.clone() {
            assert!(command.contains("http://127.0.0.1:8081/api/v1/") || command.contains("http://127.0.0.1:8091/"), "{command}");
            assert!(lines[index + 1].starts_with("  # "), "{command}");
        }
        assert_eq!(commands.count(), STEPS.iter().map(|step| step.commands.len()).sum::<usize>() + 1);
        assert!(!text.contains(['@', '%']));
    }
}
