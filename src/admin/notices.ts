/** What keeps mails from getting out in time. */
export interface MailTrouble {
  /** None gets out; false: some do, or late. */
  isStopped: boolean;
  /** Why, and what to do; for a person. */
  words: string;
}

/** That somebody has stopped sending. */
export interface PauseNotice {
  /** Nothing of this visitor's is sent from here; false: it concerns others. */
  isStopped: boolean;
  /** Tells a person who paused what, since when and why. */
  words: string;
}
