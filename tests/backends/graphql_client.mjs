// Asks a tracker by urql, as a page would, and prints what each operation came to as a JSON object: name -> [cache, text].

import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PATH + "/");
const { createClient, fetchExchange, gql } = require("@urql/core");

const base = process.argv[2];
let cache = null;
const recorded = async (...request) => {
  const answer = await fetch(...request);
  cache = answer.headers.get("x-cache");
  return answer;
};
// Without a cache of its own: each operation goes out.
const client = (preferGetMethod) => createClient({ url: base + "/graphql", exchanges: [fetchExchange], fetch: recorded, preferGetMethod });
const [byPost, byGet] = [client(false), client("force")];

const ISSUE = gql`
  query Issue($id: ID!) {
    issue(id: $id) {
      __typename
      id
      title
    }
  }
`;
// The same query, as somebody else writes it.
const SAME = gql("query Issue($id: ID!) { issue(id: $id) { __typename, id, title } }");
const ISSUES = gql`
  query Issues {
    issues {
      __typename
      id
      title
    }
  }
`;
const BROKEN = gql`
  query Broken {
    broken
  }
`;
const UPDATE = gql`
  mutation Update($id: ID!, $title: String!) {
    updateIssue(id: $id, title: $title) {
      __typename
      id
      title
    }
  }
`;

const told = ({ data, error }) => [cache, error ? "error: " + error.graphQLErrors[0]?.message : JSON.stringify(data.issue ?? data.issues ?? data.updateIssue)];
const ask = async (asker, query, variables = {}) => told(await asker.query(query, variables).toPromise());

const said = {};
said["issue"] = await ask(byPost, ISSUE, { id: "7" });
said["issue again"] = await ask(byPost, ISSUE, { id: "7" });
said["issue in other words"] = await ask(byPost, SAME, { id: "7" });
said["issue by GET"] = await ask(byGet, ISSUE, { id: "7" });
said["another issue"] = await ask(byPost, ISSUE, { id: "8" });
said["issues"] = await ask(byPost, ISSUES);
said["issues again"] = await ask(byPost, ISSUES);
said["broken"] = await ask(byPost, BROKEN);
said["broken again"] = await ask(byPost, BROKEN);
said["update"] = told(await byPost.mutation(UPDATE, { id: "7", title: "Fast board" }).toPromise());
said["issue after it"] = await ask(byPost, ISSUE, { id: "7" });
said["issues after it"] = await ask(byPost, ISSUES);
said["another issue after it"] = await ask(byPost, ISSUE, { id: "8" });
console.log(JSON.stringify(said));
