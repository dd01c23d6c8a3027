//! The packages by which people ask language models, through Larder.

use larder_testkit::larder::config;
use larder_testkit::{Larder, Result};
use larder_tests::models::{ModelProvider, Said, node_clients, python_clients};

const ROUTES: &str = r#"
[[routes]]
path = "/v1/{*rest}"
ttl = "1h"
read = true
key = { body = "chat" }

[[routes]]
path = "/v1/embeddings"
ttl = "1h"
read = true
key = { body = "embeddings" }
"#;

/// Each call was answered by the provider first, and then from the cache with the same text.
fn came_twice(said: &Said, names: &[&str]) {
    for name in names {
        let (first, again) = (&said[*name], &said[&format!("{name} again")]);
        assert_eq!((first.0.as_str(), again.0.as_str(), &first.1), ("MISS", "HIT", &again.1), "{name}");
    }
}

#[tokio::test]
async fn clients_in_python_get_the_same_answer_twice() -> Result<()> {
    let provider = ModelProvider::start().await?;
    let larder = Larder::start(&config(&provider.url(), ROUTES)).await?;
    let said = python_clients(format!("http://{}", larder.address())).await?;
    let names = ["chat", "chat stream", "chat usage", "responses", "responses stream", "messages", "messages stream", "embeddings"];
    came_twice(&said, &names);
    assert_eq!((said["chat"].1.as_str(), said["messages stream"].1.as_str()), ("three two one", "seven six"));
    assert_eq!(said["another key"].0, "MISS");
    // The SDK tells its user that the stream broke off; the next one is whole.
    assert_eq!((said["broken"].1.as_str(), &said["broken again"]), ("openai", &("MISS".to_owned(), "off break will".to_owned())));
    assert_eq!((said["left"].1.as_str(), said["left again"].1.as_str()), ("early", "early leaves who"));
    assert_eq!(said["crowd"].1, "people of crowd a", "one text for all of them");
    let asked = provider.asked().await?;
    assert_eq!((asked["a crowd of people"], asked["who leaves early"], asked["will break off"]), (1, 1, 2));
    Ok(())
}

#[tokio::test]
async fn clients_in_node_get_the_same_answer_twice() -> Result<()> {
    let provider = ModelProvider::start().await?;
    let larder = Larder::start(&config(&provider.url(), ROUTES)).await?;
    let said = node_clients(format!("http://{}", larder.address())).await?;
    came_twice(&said, &["chat", "chat stream", "messages", "messages stream"]);
    assert_eq!(said["crowd"].1, "people of crowd a");
    assert_eq!(provider.asked().await?["a crowd of people"], 1);
    Ok(())
}
