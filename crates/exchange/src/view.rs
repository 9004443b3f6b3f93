//! What an exchange says as a whole, whichever of its messages says it.

use l7trace_protocol::{Attribute, Message, Span};

use crate::Exchange;

impl Exchange {
    /// Its messages: the request, then the response.
    pub fn messages(&self) -> impl Iterator<Item = &Message> + Clone {
        self.request.as_deref().into_iter().chain(self.response.as_deref())
    }

    /// The protocol that its first message speaks.
    pub fn protocol(&self) -> Option<&'static str> {
        self.messages().next().map(|message| message.protocol)
    }

    /// What was asked, as on the wire.
    pub fn operation(&self) -> Option<&[u8]> {
        self.first_of(|message| message.operation)
    }

    /// Of what it was asked, as on the wire.
    pub fn resource(&self) -> Option<&[u8]> {
        self.first_of(|message| message.resource)
    }

    /// What came of it, as on the wire.
    pub fn status(&self) -> Option<&[u8]> {
        self.first_of(|message| message.status)
    }

    /// The host it was meant for, as on the wire.
    pub fn host(&self) -> Option<&[u8]> {
        self.first_of(|message| message.host)
    }

    /// Its facts: the request's, and those of the response that the request has not (`stream` and
    /// the like stand in both).
    pub fn facts(&self) -> impl Iterator<Item = &Attribute> + Clone {
        fn of(message: Option<&Message>) -> &[Attribute] {
            message.map_or(&[], |message| &message.facts)
        }
        let (of_request, of_response) = (of(self.request.as_deref()), of(self.response.as_deref()));
        of_request.iter().chain(of_response.iter().filter(move |fact| !of_request.contains(fact)))
    }

    /// How many bytes of its messages were not seen.
    pub fn lost_bytes(&self) -> u64 {
        self.messages().map(|message| message.lost_bytes).sum()
    }

    fn first_of(&self, field: impl Fn(&Message) -> Option<Span>) -> Option<&[u8]> {
        self.messages().find_map(|message| message.text_of(field(message)))
    }
}
