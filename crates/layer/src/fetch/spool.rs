//! A body that a tier takes while it arrives, because it is too long for the memory.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use larder_semantics::StoredHead;
use larder_semantics::content::Asked;
use larder_store::codec::{BodySummer, ResponseRecord};
use larder_store::{Lease, Lookup, NewRemoteBody, RemoteBody, RemoteBodyWriter, RemoteError, SEGMENT};

use super::pump::{Keeping, Kept, Pump};
use super::rest::{Backed, is_resumable};
use crate::body::aside::Aside;
use crate::body::log::LogWriter;
use crate::body::pending::PendingResponse;
use crate::rules::Glimpse;
use crate::upstream::Upstream;

/// The way of such a body into its tier.
pub(super) struct Spool {
    writer: Box<dyn RemoteBodyWriter>,
    /// Bytes that make no whole segment yet.
    rest: BytesMut,
    sum: BodySummer,
    /// Present where a guard looks.
    glimpse: Option<Glimpse>,
    /// The memory of `rest` and `glimpse`.
    _aside: Aside,
}

impl Spool {
    /// Writes the next bytes. Readers may go on in the tier as far as it has them.
    async fn write(&mut self, mut data: &[u8], log: &LogWriter) -> Result<(), RemoteError> {
        self.sum.add(data);
        self.glimpse.iter_mut().for_each(|glimpse| glimpse.add(data));
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(SEGMENT - self.rest.len()));
            self.rest.extend_from_slice(now);
            data = later;
            if self.rest.len() == SEGMENT {
                self.write_rest(log).await?;
            }
        }
        Ok(())
    }

    /// Writes the last frame, and what makes no whole segment.
    async fn write_end(&mut self, last: Option<&Bytes>, log: &LogWriter) -> Result<(), RemoteError> {
        if let Some(last) = last {
            self.write(last, log).await?;
        }
        if self.rest.is_empty() { Ok(()) } else { self.write_rest(log).await }
    }

    async fn write_rest(&mut self, log: &LogWriter) -> Result<(), RemoteError> {
        let segment = std::mem::replace(&mut self.rest, BytesMut::with_capacity(SEGMENT)).freeze();
        let length = segment.len() as u64;
        self.writer.write(segment).await?;
        log.spooled(length);
        Ok(())
    }
}

impl<S: Upstream> Pump<S> {
    /// Whether a tier is to take the body, if one does.
    pub(super) fn is_too_long_for_memory(&self, got: u64) -> bool {
        let cache = &self.service.cache;
        !cache.tiers.is_empty() && got.max(self.length.unwrap_or(0)) > cache.max_in_memory
    }

    /// A body that is too long for the memory goes to a tier from here on, or stays while the memory can hold it. One that is too long for either is not
    /// kept.
    pub(super) async fn keep_elsewhere(&mut self, keeping: Keeping, got: u64) -> Keeping {
        let fits = got <= self.max_kept();
        if let Keeping::InMemory { may_spool: true } = keeping
            && fits
            && let Some(mut spool) = self.begin_spool()
        {
            // The end, for which followers may wait, is far.
            self.fetch.permit = None;
            for frame in self.writer.frames() {
                if spool.write(&frame, &self.writer).await.is_err() {
                    return self.not_kept(got);
                }
            }
            return Keeping::Spooled(spool);
        }
        let is_spooled = matches!(keeping, Keeping::Spooled(_));
        if fits && (is_spooled || !self.service.cache.in_flight.is_full()) {
            return if is_spooled { keeping } else { Keeping::InMemory { may_spool: false } };
        }
        self.not_kept(got)
    }

    /// Hands the next frame to the readers, and writes it to the tier.
    pub(super) async fn spool_on(&mut self, mut spool: Box<Spool>, frame: Bytes, got: u64) -> Keeping {
        self.writer.append(frame.clone());
        match spool.write(&frame, &self.writer).await {
            Ok(()) => Keeping::Spooled(spool),
            Err(_) => self.not_kept(got),
        }
    }

    fn not_kept(&mut self, got: u64) -> Keeping {
        self.give_up_keeping(got);
        Keeping::Not
    }

    /// `None`: no tier takes the body, or there is no memory for its way there.
    fn begin_spool(&self) -> Option<Box<Spool>> {
        let Kept::Whole(pending) = &self.kept else { return None };
        let in_flight = &self.service.cache.in_flight;
        if !self.is_spooled_whole(pending) || in_flight.stays_full() {
            return None;
        }
        let (fetch, route) = (&self.fetch, &self.service.route);
        let new = NewRemoteBody {
            key: &fetch.request.key,
            variant: pending.variant.as_ref(),
            head: &pending.head,
            fetch: fetch.number,
            length: self.length,
        };
        let writer = self.service.cache.begin_body(new, &route.tiers)?;
        self.writer.spool(self.backed(writer.body(), &pending.head));
        let glimpse = route.is_guarded().then(|| Glimpse::of(&pending.head));
        let mut aside = Aside::new(in_flight);
        aside.set(SEGMENT as u64 + glimpse.as_ref().map_or(0, Glimpse::weight));
        Some(Box::new(Spool { writer, rest: BytesMut::with_capacity(SEGMENT), sum: BodySummer::default(), glimpse, _aside: aside }))
    }

    /// The body as its readers find it in the tier: the origin stands in for what that cannot bring, where it can be asked for.
    fn backed(&self, body: Arc<dyn RemoteBody>, head: &Arc<StoredHead>) -> Arc<dyn RemoteBody> {
        let request = &self.fetch.request;
        match self.length.filter(|length| is_resumable(request, head, Some(*length))) {
            Some(length) => Arc::new(Backed::new(body, self.service.clone(), Arc::clone(request), (Arc::clone(head), length))),
            None => body,
        }
    }

    /// Whether nothing of the body has to be known before it can be stored, and it has an end.
    fn is_spooled_whole(&self, pending: &PendingResponse) -> bool {
        let is_read = pending.more_tags || self.service.route.content.is_some() && *self.fetch.request.asked() != Asked::Other;
        !is_read && !self.is_event_stream()
    }

    /// Stores the response, whose body is there but for the `last` frame. The memory keeps nothing of it.
    pub(super) async fn finish_spool(
        &mut self,
        mut spool: Box<Spool>,
        last: Option<&Bytes>,
        trailers: Option<HeaderMap>,
        got: u64,
    ) -> Keeping {
        // Other replicas ask for themselves.
        self.fetch.lease.take().into_iter().for_each(Lease::not_shared);
        if spool.write_end(last, &self.writer).await.is_err() {
            return self.not_kept(got);
        }
        let Kept::Whole(pending) = &self.kept else { return Keeping::Not };
        if let Some((beginning, digest)) = spool.glimpse.take().map(Glimpse::finish) {
            let vary = pending.variant.as_ref().map(|variant| &variant.spec);
            let beginning = std::iter::once(&beginning);
            if self.fetch.guarded_body(&self.service, vary, &pending.head, beginning, Some(digest)).is_some() {
                return Keeping::Not;
            }
        }
        let (fetch, cache) = (&self.fetch, &self.service.cache);
        let (key, variant, head) = (fetch.request.key.clone(), pending.variant.clone(), Arc::clone(&pending.head));
        let (tags, position, sum) = (fetch.tags.clone(), fetch.position, spool.sum.sum());
        let record = ResponseRecord::new(key, variant, head, tags, position, fetch.number, sum, trailers);
        if cache.commit_body(spool.writer, record).await {
            self.forget_older();
        }
        Keeping::Not
    }

    /// Drops what there is of earlier fetches, since memory is asked first. A fetch that is to renew knows of none, and is for whoever asks.
    fn forget_older(&self) {
        let (fetch, cache) = (&self.fetch, &self.service.cache);
        fetch.forget(cache);
        match self.service.stored_for(&fetch.request) {
            Lookup::Found(stored) | Lookup::Unvouched(stored) if stored.fetch < fetch.number => cache.remove(&stored),
            Lookup::Partial(part) if part.fetch < fetch.number => cache.store.remove_part(&part),
            _ => {}
        }
    }
}
