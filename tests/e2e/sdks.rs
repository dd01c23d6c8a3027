//! The packages by which people ask language models, through Larder.

use larder_testkit::larder::config;
use larder_testkit::{Larder, Result};
use larder_tests::models::{ModelProvider, Said, node_clients, python_clients};

use crate::models::CONFIG;

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
    let larder = Larder::start(&config(&provider.url(), CONFIG)).await?;
    let said = python_clients(format!("http://{}", larder.address())).await?;
    let names = ["chat", "chat stream", "chat usage", "responses", "responses stream", "messages", "messages stream", "embeddings"];
    came_twice(&said, &names);
    assert_eq!((said["chat"].1.as_str(), said["messages stream"].1.as_str()), ("three two one", "seven six"));
    assert_eq!(
        (said["embeddings"].1.as_str(), &said["embeddings rest"]),
        ("[[4.0, 5.0]]", &("MISS".to_owned(), "[[3.0], [4.0, 5.0]]".to_owned()))
    );
    assert_eq!(said["another key"].0, "MISS");
    // The SDK tells its user that the stream broke off; the next one is whole.
    assert_eq!((said["broken"].1.as_str(), &said["broken again"]), ("openai", &("MISS".to_owned(), "off break will".to_owned())));
    assert_eq!((said["left"].1.as_str(), said["left again"].1.as_str()), ("early", "early leaves who"));
    assert_eq!(said["crowd"].1, "people of crowd a", "one text for all of them");
    let asked = provider.asked().await?;
    assert_eq!((asked["a crowd of people"], asked["who leaves early"], asked["will break off"]), (1, 1, 2));
    assert_eq!((asked["eight nine"], asked["ten"], asked["chat asks for a stream"]), (1, 1, 2), "each element once, and each form");
    Ok(())
}

#[tokio::test]
async fn clients_read_the_other_form_of_what_is_stored() -> Result<()> {
    let provider = ModelProvider::start().await?;
    let larder = Larder::start(&config(&provider.url(), &format!("[cache]\nconvert = true\n{CONFIG}"))).await?;
    let url = format!("http://{}", larder.address());
    let (python, node) = (python_clients(url.clone()).await?, node_clients(url).await?);
    for (said, names) in [(&python, &["chat", "responses", "messages"][..]), (&node, &["chat", "messages"])] {
        for name in names {
            let (whole, stream) = (&said[*name], &said[&format!("{name} stream")]);
            assert_eq!((stream.0.as_str(), &stream.1), ("HIT", &whole.1), "{name}: a stream of what is stored whole");
            let text = format!("stream a for asks {name}");
            assert_eq!(said[&format!("{name} converted")], ("HIT".to_owned(), text), "{name}: the whole of a stored stream");
        }
    }
    let asked = provider.asked().await?;
    for prompt in
        ["one two three", "four five", "six seven", "chat asks for a stream", "responses asks for a stream", "messages asks for a stream"]
    {
        let keys = if prompt == "one two three" { 2 } else { 1 };
        assert_eq!(asked[prompt], keys, "{prompt}: once for each key that asked");
    }
    Ok(())
}

#[tokio::test]
async fn clients_in_node_get_the_same_answer_twice() -> Result<()> {
    let provider = ModelProvider::start().await?;
    let larder = Larder::start(&config(&provider.url(), CONFIG)).await?;
    let said = node_clients(format!("http://{}", larder.address())).await?;
    came_twice(&said, &["chat", "chat stream", "messages", "messages stream"]);
    assert_eq!(said["crowd"].1, "people of crowd a");
    assert_eq!(provider.asked().await?["a crowd of people"], 1);
    Ok(())
}
