// A tracker of issues behind GraphQL Yoga: node graphql_tracker.mjs HOST PORT. `GET /asked` tells how often it has resolved what.

import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PATH + "/");
const { createSchema, createYoga } = require("graphql-yoga");

const [, , host, port] = process.argv;
const titles = new Map([["7", "Slow board"], ["8", "Lost draft"]]);
const resolved = { issue: 0, issues: 0, updateIssue: 0 };
const issue = (id) => (titles.has(id) ? { id, title: titles.get(id) } : null);

const schema = createSchema({
  typeDefs: `
    type Issue { id: ID! title: String! }
    type Query { issue(id: ID!): Issue issues: [Issue!]! broken: String }
    type Mutation { updateIssue(id: ID!, title: String!): Issue }
  `,
  resolvers: {
    Query: {
      issue: (_, { id }) => ((resolved.issue += 1), issue(id)),
      issues: () => ((resolved.issues += 1), [...titles.keys()].map(issue)),
      broken: () => {
        throw new Error("broken");
      },
    },
    Mutation: {
      updateIssue: (_, { id, title }) => ((resolved.updateIssue += 1), titles.set(id, title), issue(id)),
    },
  },
});

const yoga = createYoga({ schema, logging: false, maskedErrors: false });
const server = createServer((request, response) => {
  if (request.url !== "/asked") return yoga(request, response);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(resolved));
});
server.listen(Number(port), host);
