//! Defects that a test of the checker plants: each breaks one promise that the checker keeps watch over.

/// What is wrong in a run on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Changes are taken for purged that no replica was told of.
    UnsentPurges,
    /// The replicas have different namespaces, so neither hears of the other's purges.
    ReplicasApart,
    /// The origin calls personal answers public.
    SharedPersonal,
    /// The origin's bodies end before their end, with a length that agrees.
    CutBodies,
    /// The origin refuses what it should answer.
    OriginRefuses,
    /// The replicas have a larger budget of memory than the checker believes.
    LargerBudget,
    /// The way from a replica to Redis stays broken after a fault.
    RedisStaysAway,
    /// A client keeps its connections.
    HeldConnections,
}
